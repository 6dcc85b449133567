//! The table: one row for each incident, one column for each load balancer.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use crate::contender::Failure;
use crate::judge::Count;

/// What an incident came to, by load balancer.
pub(crate) struct Row {
    number: u32,
    name: &'static str,
    results: Vec<(&'static str, Result<Count, String>)>,
}

impl Row {
    pub(crate) fn new(number: u32, name: &'static str) -> Self {
        Self { number, name, results: Vec::new() }
    }

    pub(crate) fn add(&mut self, contender: &'static str, result: Result<Count, Failure>) {
        self.results.push((contender, result.map_err(|failure| failure.to_string())));
    }

    /// Whether ours lost nothing, or did not take part.
    pub(crate) fn steadfast_is_clean(&self) -> bool {
        self.results.iter().filter(|(name, _)| *name == "Steadfast").all(|(_, result)| is_clean(result))
    }
}

fn is_clean(result: &Result<Count, String>) -> bool {
    result.as_ref().is_ok_and(|count| {
        count.avoidable == 0 && count.errors == 0 && count.new_on_draining == 0 && count.broken == 0
    })
}

/// The first line: who takes part.
pub(crate) fn print_header(contenders: &[&str]) {
    print!("{:<44}", "");
    contenders.iter().for_each(|name| print!(" {name:<17}"));
    println!();
}

/// Prints one row; in detail, what went wrong in words, too.
pub(crate) fn print_row(row: &Row, in_detail: bool) {
    print!("{:>2} {:<41}", row.number, row.name);
    row.results.iter().for_each(|(_, result)| print!(" {:<17}", cell(result)));
    println!();
    for (name, result) in &row.results {
        let ours = *name == "Steadfast" && !is_clean(result);
        match result {
            Ok(count) if in_detail || ours => {
                println!(
                    "     {name}: {} requests, {} losses that were due, {} misroutes",
                    count.requests, count.unavoidable, count.misroutes
                );
                count.details.iter().for_each(|detail| println!("       {detail}"));
            }
            Ok(_) => {}
            Err(failure) => println!("     {name} could not be played: {failure}"),
        }
    }
}

/// What went wrong, shortly.
fn cell(result: &Result<Count, String>) -> String {
    let Ok(count) = result else { return "not played".to_owned() };
    let parts = [
        (count.avoidable, "lost"),
        (count.errors, "errors"),
        (count.new_on_draining, "new"),
        (count.broken, "broken"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if parts.is_empty() { "clean".to_owned() } else { parts.join(", ") }
}

/// Prints how many incidents each came through.
pub(crate) fn print_summary(rows: &[Row]) {
    let Some(first) = rows.first() else { return println!("no such incident") };
    println!(
        "\nlost: sessions whose server was alive; errors: seen by a client; new: new sessions on a draining server;\n\
         broken: what the incident asks for beyond that. Losses with a dead server are nobody's fault.\n"
    );
    for (name, _) in &first.results {
        let of_it = || rows.iter().flat_map(|row| row.results.iter().filter(|(other, _)| other == name));
        let clean = of_it().filter(|(_, result)| is_clean(result)).count();
        let sum = |part: fn(&Count) -> u64| -> u64 {
            of_it().filter_map(|(_, result)| result.as_ref().ok()).map(part).sum()
        };
        let (lost, errors) = (sum(|count| count.avoidable), sum(|count| count.errors));
        println!(
            "{name:<17} clean in {clean:>2} of {}; {lost} avoidable losses, {errors} errors",
            rows.len()
        );
    }
}
