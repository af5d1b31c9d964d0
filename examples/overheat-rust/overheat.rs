// SPDX-License-Identifier: Apache-2.0
//! overheat, as a Rust command: the payload is stdin, the alert is stdout, an exit code other than 0
//! fails the event.
//!
//!     rustc --edition 2021 --target wasm32-wasi -O -C strip=symbols overheat.rs

use std::io::{self, Read, Write};
use std::process::ExitCode;

const LIMIT_CELSIUS: u32 = 90;

/// The text of a JSON string at the start of `s`, with its quotes and escapes as they stand.
fn string(s: &str) -> Option<&str> {
    let mut escaped = false;
    for (i, b) in s.bytes().enumerate() {
        match b {
            b'"' if i == 0 => {}
            _ if i == 0 => return None,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(&s[..=i]),
            _ => {}
        }
    }
    None
}

/// Any JSON value at the start of `s` as it stands; brackets are counted, not matched.
fn value(s: &str) -> Option<&str> {
    let (mut at, mut depth) = (0, 0);
    while let Some(b) = s.as_bytes().get(at) {
        match b {
            b'"' => {
                at += string(&s[at..])?.len();
                continue;
            }
            b',' | b'}' | b']' if depth == 0 => return Some(&s[..at]),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The value of a member of the object that `json` is.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = json.trim_start().strip_prefix('{')?;
    loop {
        rest = rest.trim_start();
        let key = string(rest)?;
        rest = rest[key.len()..].trim_start().strip_prefix(':')?.trim_start();
        let found = value(rest)?;
        if &key[1..key.len() - 1] == name {
            return Some(found.trim_end());
        }
        rest = rest[found.len()..].strip_prefix(',')?;
    }
}

fn check(json: &str) -> Result<Option<String>, &'static str> {
    let celsius = member(json, "celsius").unwrap_or("");
    let value: f64 = match celsius.bytes().all(|b| b"+-.0123456789eE".contains(&b)) {
        true => celsius.parse().ok(),
        false => None,
    }
    .ok_or("the payload has no number \"celsius\"")?;
    let sensor = member(json, "sensor")
        .filter(|s| s.starts_with('"'))
        .ok_or("the payload has no string \"sensor\"")?;
    Ok((value > LIMIT_CELSIUS.into()).then(|| {
        format!("{{\"alert\":\"overheat\",\"sensor\":{sensor},\"celsius\":{celsius},\"limit\":{LIMIT_CELSIUS}}}")
    }))
}

fn main() -> ExitCode {
    let mut json = String::new();
    let checked = match io::stdin().read_to_string(&mut json) {
        Ok(_) => check(&json),
        Err(_) => Err("the payload is not UTF-8"),
    };
    match checked {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(alert)) if io::stdout().write_all(alert.as_bytes()).is_ok() => ExitCode::SUCCESS,
        Ok(Some(_)) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
