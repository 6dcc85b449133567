//! `telemetry`: a collector that can be reached.

use super::{Surroundings, endpoint, size};
use crate::config::checked::Otlp;
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::Text;
use crate::config::units::{Share, Time};

/// Of a name.
const MOST_BYTES: usize = 128;

/// The collector, if there is one. The outer `None` is an error.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn otlp(
    telemetry: Spanned<Option<model::Telemetry>>,
    around: &Surroundings<'_>,
) -> Option<Option<Otlp>> {
    let Some(model::Telemetry { otlp }) = telemetry.value? else { return Some(None) };
    let Some(otlp) = otlp.value? else { return Some(None) };
    let model::Otlp { url, token_file, sample, service_name, queue, timeout } = otlp;
    let timeout = timeout.value.map(|Time(timeout)| timeout);
    let collector = endpoint::endpoint(url, token_file, timeout, "/v1/traces", around);
    let name = service_name.value.map(|Text(name)| name);
    if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MOST_BYTES) {
        let help = format!("write 1 to {MOST_BYTES} bytes");
        around.error(Code::BadValue, &service_name.place, "`service_name` is empty or too long", help);
        return None;
    }
    let Share(sample) = sample.value?;
    Some(Some(Otlp { collector: collector?, sample, service_name: name?, queue: size(queue.value?) }))
}
