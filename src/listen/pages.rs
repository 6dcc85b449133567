//! What the front door says when it refuses a request: the operator's page for the status, or one line of text.

use bytes::Bytes;
use http::HeaderValue;

/// The page of some statuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// From this status.
    pub first: u16,
    /// To this one.
    pub last: u16,
    /// Its media type.
    pub media_type: HeaderValue,
    /// Its text.
    pub body: Bytes,
}

/// The pages of a listener, the narrower ones first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pages(pub Vec<Page>);

impl Pages {
    /// The page for a status, if there is one.
    pub(super) fn of(&self, code: u16) -> Option<&Page> {
        self.0.iter().find(|page| (page.first..=page.last).contains(&code))
    }
}
