//! The pairs of bytes that pack the texts of the binary (`src/rt/packed.rs`): learnt from the texts as they stand in the
//! sources, so that no table has to follow them by hand. Wrong pairs would cost bytes and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The bytes from 127 up, and those below a blank: what they stand for is what the table holds.
const CODES: [std::ops::RangeInclusive<u8>; 2] = [127..=255, 0..=31];
/// Of those, what stands for itself: the end of a text, [`PLACE`], tab and newline.
const THEMSELVES: [u8; 4] = [0, PLACE, b'\t', b'\n'];
/// What a text has where a word belongs.
const PLACE: u8 = 1;

/// Macros with one text, words between its parts.
const MESSAGES: [&str; 7] = ["put", "fail", "compose", "c_join", "message", "say", "text"];
/// Macros with many texts.
const LISTS: [&str; 3] = ["texts", "hints", "flags"];

/// The pairs for every text below `folder`, most frequent first.
///
/// # Errors
/// A source that can't be read.
pub fn pairs(folder: &Path) -> io::Result<Vec<u8>> {
    let mut texts = Vec::new();
    visit(folder, &mut texts)?;
    texts.sort();
    texts.dedup();
    Ok(learn(texts))
}

fn visit(path: &Path, texts: &mut Vec<Vec<u8>>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            visit(&entry?.path(), texts)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let source = fs::read_to_string(path)?;
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for list in [false, true] {
            for name in if list { &LISTS[..] } else { &MESSAGES[..] } {
                for call in source.split(&format!("{name}!")).skip(1) {
                    read(call.trim_start().as_bytes(), list, texts);
                }
            }
        }
    }
    Ok(())
}

/// The texts of a macro call, which starts with its bracket.
fn read(call: &[u8], list: bool, texts: &mut Vec<Vec<u8>>) {
    let mut text = Vec::new();
    let (mut depth, mut literal, mut word) = (0, false, false);
    let mut rest = call;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let mut end = false;
        match (byte, rest) {
            (b'(' | b'[' | b'{', _) => depth += 1,
            (b')' | b']' | b'}', _) => depth -= 1,
            (b'/', [b'/', ..]) => {
                rest =
                    rest.iter().position(|b| *b == b'\n').and_then(|at| rest.get(at..)).unwrap_or_default();
                continue;
            }
            (b'\'', [_, b'\'', after @ ..]) => rest = after,
            (b'"', _) => {
                let (part, after) = string(rest);
                rest = after;
                if depth == 1 || list {
                    text.extend(part);
                    (literal, word) = (true, false);
                }
                if !list {
                    continue;
                }
                end = true;
            }
            (b'=', [b'>', after @ ..]) if depth == 1 => {
                rest = after;
                end = true;
            }
            _ => {}
        }
        if depth == 0 || depth == 1 && byte == b',' {
            if word && !text.is_empty() {
                text.push(PLACE);
            }
            (literal, word) = (false, false);
        } else if end {
            texts.push(std::mem::take(&mut text));
            (literal, word) = (false, false);
        } else if !byte.is_ascii_whitespace() && !literal {
            word = true;
        }
        if depth == 0 {
            break;
        }
    }
    texts.push(text);
}

/// The value of a string literal, from behind its first quote, and what follows it.
fn string(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest.first()) {
            (b'"', _) => break,
            (b'\\', Some(b'\n')) => rest = rest.trim_ascii_start(),
            (b'\\', Some(&escaped)) => {
                value.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => other,
                });
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => value.push(byte),
        }
    }
    (value, rest)
}

/// Joins the most frequent pair, again and again.
pub fn learn(mut texts: Vec<Vec<u8>>) -> Vec<u8> {
    let mut pairs = Vec::new();
    for code in CODES.into_iter().flatten() {
        if THEMSELVES.contains(&code) {
            pairs.extend([0, 0]);
            continue;
        }
        let mut counts: BTreeMap<[u8; 2], usize> = BTreeMap::new();
        for text in &texts {
            let mut at = 0;
            while let Some(&[first, second]) = text.get(at..at + 2) {
                *counts.entry([first, second]).or_default() += 1;
                // of three alike only one pair can be joined
                at += if text.get(at + 2) == Some(&second) && first == second { 2 } else { 1 };
            }
        }
        let Some((&pair, _)) = counts.iter().max_by_key(|(_, count)| **count) else { break };
        pairs.extend(pair);
        for text in &mut texts {
            let mut joined = Vec::with_capacity(text.len());
            let mut at = 0;
            while let Some(&byte) = text.get(at) {
                let whole = text.get(at..at + 2) == Some(&pair);
                joined.push(if whole { code } else { byte });
                at += if whole { 2 } else { 1 };
            }
            *text = joined;
        }
    }
    pairs
}
