//! The log: `tracing` to stderr, as text or JSON, filtered by directives.

use anyhow::Context;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::settings::{LogConfig, LogFormat};

/// Begins to log to stderr. Once a process.
///
/// # Errors
/// The filter is not one, or the process logs already.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<()> {
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let subscriber = subscriber(config, colour, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).context("failed to start the log")
}

/// What writes events to `writer` as `config` says.
fn subscriber<W>(config: &LogConfig, colour: bool, writer: W) -> anyhow::Result<Box<dyn Subscriber + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(&config.filter).with_context(|| format!("log.filter {:?} is invalid", config.filter))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colour);
    Ok(match config.format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let config = LogConfig { format, filter: filter.to_owned() };
        let subscriber = subscriber(&config, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "roa_lab", lab = "a", "ready");
            tracing::debug!(target: "roa_lab", "probing");
            tracing::debug!(target: "library", "noise");
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_has_a_line_an_event_and_no_colour_codes() {
        let text = logged(LogFormat::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("roa_lab") && text.contains("ready") && text.contains("lab=\"a\""), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn json_has_an_object_a_line() {
        let text = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&line["message"], &line["lab"], &line["level"]), (&"ready".into(), &"a".into(), &"INFO".into()));
    }

    #[test]
    fn a_directive_covers_every_crate_whose_name_begins_with_it() {
        let text = logged(LogFormat::Text, "info,roa=debug");
        assert!(text.contains("probing") && !text.contains("noise"), "{text}");
    }

    #[test]
    fn a_filter_that_is_none_is_named() {
        let config = LogConfig { format: LogFormat::Text, filter: "roa=loud".into() };
        let error = subscriber(&config, false, io::sink).err().unwrap();
        assert_eq!(error.to_string(), "log.filter \"roa=loud\" is invalid");
    }
}
