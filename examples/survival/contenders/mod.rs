pub(crate) mod steadfast;
