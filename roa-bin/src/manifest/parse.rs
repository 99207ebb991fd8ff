//! [`parse`]: the manifests in one text.

use serde_json::Value;
use serde_saphyr::options::{MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{MessageFormatter, Options, UserMessageFormatter, alias_limits, budget, options};

use super::documents::{Document, documents};
use super::strict::{MAX_DEPTH, Strict};
use super::{Flaw, Manifest};

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Json,
}

impl Format {
    /// By the first character that is not blank: JSON is an object or an array.
    pub(super) fn guess(text: &str) -> Self {
        if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) { Self::Json } else { Self::Yaml }
    }
}

/// Nodes that aliases may add to a document.
const MAX_ALIASED_NODES: usize = 100_000;

/// The manifests in `text`, or everything that is wrong with it. `source` names the text.
pub(super) fn parse(source: &str, format: Format, text: &str) -> Result<Vec<Manifest>, Vec<Flaw>> {
    let parsed = match format {
        Format::Yaml => parse_yaml(text),
        Format::Json => parse_json(text),
    };
    let (mut manifests, mut flaws) = (Vec::new(), Vec::new());
    for (index, (line, document)) in parsed.into_iter().enumerate() {
        let source = format!("{source}#{}", index + 1);
        match document {
            Ok(value) => expand(source, line, value, &mut manifests, &mut flaws),
            Err(Fault { line, reason }) => flaws.push(Flaw { source, line: Some(line), reason }),
        }
    }
    if flaws.is_empty() { Ok(manifests) } else { Err(flaws) }
}

/// Why a document is none.
struct Fault {
    line: usize,
    reason: String,
}

/// The line on which a document begins, counted from 1, and what it is.
type Parsed = (usize, Result<Value, Fault>);

fn parse_yaml(text: &str) -> Vec<Parsed> {
    documents(text).into_iter().map(|document| (document.offset + 1, parse_document(document))).collect()
}

fn parse_document(document: Document<'_>) -> Result<Value, Fault> {
    let parsed: Result<Strict, _> = serde_saphyr::from_str_with_options(document.text, yaml_options());
    parsed.map(|Strict(value)| value).map_err(|error| {
        let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(usize::MAX));
        let reason = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
        Fault { line: line.saturating_add(document.offset), reason }
    })
}

/// YAML 1.2 as Kubernetes' tools read it; what has two readings (`0755`, `1_000`) stays text, and a kind that wants a
/// number refuses it.
fn yaml_options() -> Options {
    options! {
        budget: budget! { max_depth: MAX_DEPTH, max_documents: 1 },
        alias_limits: alias_limits! { max_total_replayed_events: MAX_ALIASED_NODES },
        merge_keys: MergeKeyPolicy::Merge,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// One object after the other, as long as they are JSON.
fn parse_json(text: &str) -> Vec<Parsed> {
    let text = text.trim_start_matches('\u{feff}');
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    let mut parsed = Vec::new();
    loop {
        let blank = text[stream.byte_offset()..].len() - text[stream.byte_offset()..].trim_start().len();
        let line = text[..stream.byte_offset() + blank].matches('\n').count() + 1;
        match stream.next() {
            Some(Ok(Strict(value))) => parsed.push((line, Ok(value))),
            Some(Err(error)) => {
                parsed.push((line, Err(json_fault(&error))));
                return parsed;
            }
            None => return parsed,
        }
    }
}

fn json_fault(error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    Fault { line: error.line(), reason: message.strip_suffix(&place).unwrap_or(&message).to_owned() }
}

/// Adds the manifest, or the items of a `List`.
fn expand(source: String, line: usize, value: Value, manifests: &mut Vec<Manifest>, flaws: &mut Vec<Flaw>) {
    if let Err(reason) = check(&value) {
        flaws.push(Flaw { source, line: Some(line), reason });
    } else if value["kind"] != "List" {
        manifests.push(Manifest { source, value });
    } else if let Value::Array(items) = &value["items"] {
        for (index, item) in items.iter().enumerate() {
            expand(format!("{source}[{index}]"), line, item.clone(), manifests, flaws);
        }
    } else {
        let reason = format!("items of a List: expected an array, found {}", name(&value["items"]));
        flaws.push(Flaw { source, line: Some(line), reason });
    }
}

/// Whether `value` says which kind of resource it is.
fn check(value: &Value) -> Result<(), String> {
    if !value.is_object() {
        return Err(format!("expected an object with apiVersion and kind, found {}", name(value)));
    }
    for field in ["apiVersion", "kind"] {
        match &value[field] {
            Value::String(text) if !text.is_empty() => {}
            Value::Null => return Err(format!("{field} is missing")),
            Value::String(_) => return Err(format!("{field} is empty")),
            other => return Err(format!("{field}: expected text, found {}", name(other))),
        }
    }
    Ok(())
}

const fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn yaml(text: &str) -> Result<Vec<Manifest>, Vec<Flaw>> {
        parse("f.yaml", Format::Yaml, text)
    }

    fn flaws(format: Format, text: &str) -> Vec<String> {
        parse("f", format, text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    fn lab(name: &str) -> String {
        format!("apiVersion: lab.neuroglia.com/v1\nkind: LabInstance\nmetadata:\n  name: {name}\n")
    }

    #[test]
    fn each_document_is_a_manifest_with_its_place() {
        let stream = format!("# labs\n---\n{}---\n---\n{}", lab("a"), lab("b"));
        let manifests = yaml(&stream).unwrap();
        let found: Vec<_> =
            manifests.iter().map(|m| (m.source.as_str(), m.value["metadata"]["name"].as_str().unwrap())).collect();
        assert_eq!(found, [("f.yaml#1", "a"), ("f.yaml#2", "b")]);
    }

    #[test]
    fn yaml_and_json_of_the_same_manifest_are_the_same_value() {
        let text = "apiVersion: v1\nkind: K\nspec:\n  text: \"60m\"\n  number: 3\n  ratio: 1.5\n  on: true\n  none: null\n  \
                    list: [1, two]\n  1: one\n";
        let expected = json!({ "apiVersion": "v1", "kind": "K", "spec": { "text": "60m", "number": 3, "ratio": 1.5,
            "on": true, "none": null, "list": [1, "two"], "1": "one" } });
        assert_eq!(yaml(text).unwrap()[0].value, expected);
        assert_eq!(parse("f", Format::Json, &expected.to_string()).unwrap()[0].value, expected);
    }

    #[test]
    fn what_has_two_readings_stays_text() {
        let text = format!("{}spec: [no, on, 0755, 1_000, 12:30, 2024-01-01]\n", lab("a"));
        assert_eq!(yaml(&text).unwrap()[0].value["spec"], json!(["no", "on", "0755", "1_000", "12:30", "2024-01-01"]));
    }

    #[test]
    fn a_list_is_its_items() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A}\n- {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: B}]}\n";
        let manifests = yaml(text).unwrap();
        let found: Vec<_> = manifests.iter().map(|m| (m.source.as_str(), m.value["kind"].as_str().unwrap())).collect();
        assert_eq!(found, [("f.yaml#1[0]", "A"), ("f.yaml#1[1][0]", "B")]);
        assert_eq!(
            flaws(Format::Yaml, "apiVersion: v1\nkind: List\n"),
            ["f#1: line 1: items of a List: expected an array, found nothing"]
        );
    }

    #[test]
    fn every_broken_document_is_named_with_its_line() {
        let stream =
            format!("{}---\na: [1\n---\n{}---\nkind: X\n---\n- 1\n---\na: 1\nb: 2\na: 3\n", lab("a"), lab("b"));
        let found = flaws(Format::Yaml, &stream);
        assert_eq!(found.len(), 4, "{found:#?}");
        for (flaw, start) in found.iter().zip([
            "f#2: line ",
            "f#4: line 12: apiVersion is missing",
            "f#5: line 14: expected an object",
            "f#6: line 19: ",
        ]) {
            assert!(flaw.starts_with(start), "{flaw} / {start}");
        }
        assert!(found[3].contains("duplicate") && found[3].contains('a'), "{}", found[3]);
    }

    #[test]
    fn json_is_refused_with_its_line_too() {
        let good = "{\"apiVersion\":\"v1\",\"kind\":\"A\"}\n";
        assert_eq!(flaws(Format::Json, &format!("{good}\n{{\"kind\": 5}}")), ["f#2: line 3: apiVersion is missing"]);
        assert_eq!(
            flaws(Format::Json, "{\n \"a\": 1,\n \"a\": 2\n}"),
            ["f#1: line 3: key `a` stands twice in one object"]
        );
        assert_eq!(flaws(Format::Json, &format!("{good}{{\n\"a\": }}")), ["f#2: line 3: expected value"]);
        assert_eq!(
            flaws(Format::Json, "{\"apiVersion\":\"v1\",\"kind\":5}"),
            ["f#1: line 1: kind: expected text, found a number"]
        );
        assert_eq!(flaws(Format::Json, "{\"apiVersion\":\"\"}"), ["f#1: line 1: apiVersion is empty"]);
    }

    #[test]
    fn t6_a_bomb_of_aliases_is_refused() {
        let mut text = "apiVersion: v1\nkind: K\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let found = flaws(Format::Yaml, &text);
        assert!(found.len() == 1 && found[0].contains("too large or too complex"), "{found:?}");
    }

    #[test]
    fn t5_depth_is_limited_in_every_format() {
        let nested = |depth| {
            format!("{{\"apiVersion\":\"v1\",\"kind\":\"K\",\"s\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
        };
        for format in [Format::Yaml, Format::Json] {
            assert!(parse("f", format, &nested(MAX_DEPTH - 1)).is_ok(), "{format:?}");
            for depth in [MAX_DEPTH, 128, 100_000] {
                assert_eq!(flaws(format, &nested(depth)).len(), 1, "{format:?}");
            }
        }
        let block = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth)));
        let block: String = ["apiVersion: v1\nkind: K\n".to_owned()].into_iter().chain(block).collect();
        assert_eq!(flaws(Format::Yaml, &block).len(), 1);
    }

    #[test]
    fn t5_the_deepest_document_fits_the_stack_of_any_thread() {
        let text = format!("{}x{}", "{a: ".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || flaws(Format::Yaml, &text)).unwrap();
        assert_eq!(thread.join().unwrap(), ["f#1: line 1: apiVersion is missing"]);
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        for value in [".nan", ".inf", "1e999", "!secret x", "*nowhere"] {
            assert_eq!(flaws(Format::Yaml, &format!("{}spec: {value}\n", lab("a"))).len(), 1, "{value}");
        }
    }

    #[test]
    fn the_format_is_guessed_by_the_first_character() {
        assert_eq!(Format::guess(" \n\t{\"a\":1}"), Format::Json);
        assert_eq!(Format::guess("# x\n{a: 1}"), Format::Yaml);
        assert_eq!(Format::guess(""), Format::Yaml);
    }
}
