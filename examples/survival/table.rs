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

/// Prints one row, and in words what went wrong.
pub(crate) fn print_row(row: &Row) {
    println!("{:>2} {}", row.number, row.name);
    for (name, result) in &row.results {
        match result {
            Ok(count) => {
                println!(
                    "   {:<16} {}  {:>5} requests, {:>3} avoidable losses, {:>3} due, {:>3} errors, {:>3} misroutes, {:>2} new on draining, {:>2} broken",
                    name,
                    if is_clean(result) { "clean" } else { "  -  " },
                    count.requests,
                    count.avoidable,
                    count.unavoidable,
                    count.errors,
                    count.misroutes,
                    count.new_on_draining,
                    count.broken,
                );
                count.details.iter().for_each(|detail| println!("                            {detail}"));
            }
            Err(failure) => println!("   {name:<16} could not be played: {failure}"),
        }
    }
}

/// Prints how many incidents each came through.
pub(crate) fn print_summary(rows: &[Row]) {
    let Some(first) = rows.first() else { return println!("no such incident") };
    println!();
    for (name, _) in &first.results {
        let of_it = || rows.iter().flat_map(|row| row.results.iter().filter(|(other, _)| other == name));
        let clean = of_it().filter(|(_, result)| is_clean(result)).count();
        let lost: u64 = of_it().filter_map(|(_, result)| Some(result.as_ref().ok()?.avoidable)).sum();
        let errors: u64 = of_it().filter_map(|(_, result)| Some(result.as_ref().ok()?.errors)).sum();
        println!(
            "{name:<16} clean in {clean:>2} of {}; {lost} avoidable losses, {errors} errors",
            rows.len()
        );
    }
}
