//! Log lines: one event a line on standard error, text or JSON, whatever a client puts into a field (LA-03).
//!
//! Only our own crates are heard below `warn`: what a library writes at `trace` may be a request's bytes (LA-02).

use std::fmt;
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;

const OUR_CRATES: [&str; 7] = ["bookstore_auth", "crypto", "domain", "import", "server", "service", "store"];

/// Starts logging. A second call changes nothing.
pub(crate) fn start(log: Log) {
    let level = log.level.parse().unwrap_or(LevelFilter::INFO);
    let filter =
        OUR_CRATES.iter().fold(Targets::new().with_default(level.min(LevelFilter::WARN)), |filter, name| {
            filter.with_target(*name, level)
        });
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let started = if log.json {
        registry
            .with(layer.json().flatten_event(true).with_current_span(true).with_span_list(false))
            .try_init()
    } else {
        registry.with(layer.event_format(OneLine(Format::default().with_ansi(false)))).try_init()
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// A panic's own text may quote what it failed on, so only a text that stands in the program is written (LA-02).
fn log_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(text not logged)");
    let place =
        panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
    tracing::error!(event = "panic", place, text, "a task has panicked");
}

/// The usual text format with everything escaped that could end the line or command a terminal.
struct OneLine(Format<Full>);

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(256);
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writeln!(out, "{}", one_line(line.trim_end_matches('\n')))
    }
}

/// The text with control characters and those that change the direction of writing escaped.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const NASTY: &str = "a\r\nb\u{1b}[2Jc\u{202e}d\u{2028}e\u{9b}f";

    fn write_with(json: bool) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
        let work = || tracing::info!(user.name = NASTY, path = %NASTY, "login {NASTY}");
        if json {
            let subscriber = tracing_subscriber::registry().with(layer.json().flatten_event(true));
            tracing::subscriber::with_default(subscriber, work);
        } else {
            let layer = layer.event_format(OneLine(Format::default().with_ansi(false)));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        }
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    // LA-03
    #[test]
    fn no_field_can_end_a_text_line_or_command_a_terminal() {
        let text = write_with(false);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(
            text.trim_end().chars().all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}'),
            "{text:?}"
        );
    }

    // LA-03
    #[test]
    fn every_json_line_is_one_object() {
        let text = write_with(true);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["user.name"], NASTY);
    }

    // LA-03
    #[test]
    fn long_fields_stay_one_line() {
        assert_eq!(one_line(&"\n".repeat(65_536)).len(), 65_536 * 5);
    }
}
