// SPDX-License-Identifier: Apache-2.0
//! Collections, traits, strings, iterators, formatting, overflow-checked arithmetic and 128-bit integers.
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::io::{self, BufRead, Write};
use std::rc::Rc;

#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        while self.rest.peek().map_or(false, |c| c.is_whitespace()) {
            self.rest.next();
        }
    }
    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        for c in word.chars() {
            if self.rest.next() != Some(c) {
                return Err(format!("expected {word}"));
            }
        }
        Ok(value)
    }
    fn text(&mut self) -> Result<String, String> {
        let mut s = String::new();
        self.rest.next();
        loop {
            match self.rest.next().ok_or("string without end")? {
                '"' => return Ok(s),
                '\\' => match self.rest.next().ok_or("string without end")? {
                    'n' => s.push('\n'),
                    'u' => {
                        let hex: String = (0..4).filter_map(|_| self.rest.next()).collect();
                        let code = u32::from_str_radix(&hex, 16).map_err(|e| e.to_string())?;
                        s.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    c => s.push(c),
                },
                c => s.push(c),
            }
        }
    }
    fn list<T>(&mut self, end: char, mut item: impl FnMut(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let mut all = Vec::new();
        self.rest.next();
        self.space();
        while self.rest.peek() != Some(&end) {
            all.push(item(self)?);
            self.space();
            if self.rest.peek() == Some(&',') {
                self.rest.next();
                self.space();
            } else if self.rest.peek() != Some(&end) {
                return Err(format!("expected , or {end}"));
            }
        }
        self.rest.next();
        Ok(all)
    }
    fn value(&mut self) -> Result<Json, String> {
        self.space();
        match self.rest.peek() {
            Some('n') => self.word("null", Json::Null),
            Some('t') => self.word("true", Json::Bool(true)),
            Some('f') => self.word("false", Json::Bool(false)),
            Some('"') => Ok(Json::Text(self.text()?)),
            Some('[') => Ok(Json::List(self.list(']', |r| r.value())?)),
            Some('{') => Ok(Json::Map(
                self.list('}', |r| {
                    let key = r.text()?;
                    r.space();
                    if r.rest.next() != Some(':') {
                        return Err("expected :".into());
                    }
                    Ok((key, r.value()?))
                })?
                .into_iter()
                .collect(),
            )),
            Some(_) => {
                let mut digits = String::new();
                while self.rest.peek().map_or(false, |c| "+-.eE0123456789".contains(*c)) {
                    digits.extend(self.rest.next());
                }
                digits.parse().map(Json::Number).map_err(|e| format!("{digits:?}: {e}"))
            }
            None => Err("nothing here".into()),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => write!(f, "null"),
            Json::Bool(b) => write!(f, "{b}"),
            Json::Number(n) => write!(f, "{n}"),
            Json::Text(s) => write!(f, "{s:?}"),
            Json::List(l) => f.debug_list().entries(l.iter().map(|j| format!("{j}"))).finish(),
            Json::Map(m) => {
                write!(f, "{{")?;
                for (i, (k, v)) in m.iter().enumerate() {
                    write!(f, "{}{k:?}: {v}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, "}}")
            }
        }
    }
}

trait Animal {
    fn sound(&self) -> String;
}
struct Dog;
struct Cow(u8);
impl Animal for Dog {
    fn sound(&self) -> String {
        "woof".into()
    }
}
impl Animal for Cow {
    fn sound(&self) -> String {
        "m".to_string() + &"o".repeat(self.0 as usize)
    }
}
impl Drop for Cow {
    fn drop(&mut self) {
        println!("cow {} leaves", self.0);
    }
}

fn life(generations: usize) -> usize {
    let mut alive: BTreeSet<(i32, i32)> = [(1, 0), (2, 1), (0, 2), (1, 2), (2, 2), (10, 10), (10, 11), (10, 12)].into_iter().collect();
    for _ in 0..generations {
        let mut near: HashMap<(i32, i32), u8> = HashMap::new();
        for &(x, y) in &alive {
            for (dx, dy) in (-1..=1).flat_map(|a| (-1..=1).map(move |b| (a, b))).filter(|d| *d != (0, 0)) {
                *near.entry((x + dx, y + dy)).or_default() += 1;
            }
        }
        alive = near.into_iter().filter(|(c, n)| *n == 3 || (*n == 2 && alive.contains(c))).map(|(c, _)| c).collect();
    }
    alive.len() * 1000 + alive.iter().map(|c| c.0.unsigned_abs() as usize).sum::<usize>()
}

fn main() {
    for (i, a) in std::env::args().enumerate().skip(1) {
        println!("argument {i}: {a:?}");
    }
    for (n, line) in io::stdin().lock().lines().enumerate() {
        let line = line.unwrap();
        let mut r = Reader { rest: line.chars().peekable() };
        match r.value() {
            Ok(v) => println!("{n}: {v}"),
            Err(e) => println!("{n}: error: {e}"),
        }
    }
    let mut fib: VecDeque<u128> = VecDeque::from([0, 1]);
    while let Some(next) = fib[0].checked_add(fib[1]) {
        fib.pop_front();
        fib.push_back(next);
    }
    println!("last fibonacci in 128 bits: {}", fib[1]);
    let mut heap: BinaryHeap<(u32, &str)> = [(3, "c"), (9, "i"), (1, "a"), (7, "g")].into_iter().collect();
    while let Some((n, s)) = heap.pop() {
        print!("{n}{s} ");
    }
    println!();
    let zoo: Vec<Rc<dyn Animal>> = vec![Rc::new(Dog), Rc::new(Cow(3)), Rc::new(Dog)];
    println!("{}", zoo.iter().map(|a| a.sound()).collect::<Vec<_>>().join(", "));
    drop(zoo);
    println!("life {}", life(25));
    let text = "Grüße aus der Fabrikhalle, 工場";
    println!("{} bytes, {} chars, {}", text.len(), text.chars().count(), text.to_uppercase());
    println!("{:>10.3}|{:<8}|{:^8}|{:#x}|{:e}", std::f64::consts::PI, "left", "mid", 255, 1234.5);
    println!("{:?} {:?}", i32::MAX.checked_add(1), 5i32.checked_rem(0));
    println!("{:?}", std::env::var("PUMP").unwrap_or_else(|_| "no PUMP".into()));
    io::stdout().flush().unwrap();
    eprintln!("leaving");
    std::process::exit(42);
}
