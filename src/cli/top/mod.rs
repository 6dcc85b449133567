//! `steadfast top`: pools, sessions and what happens, in a terminal. It listens to the events of a running balancer, and
//! asks again when the connection breaks.

mod draw;

use std::io::{BufRead, IsTerminal as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyEventKind, KeyModifiers};

use super::client::Client;
use super::{args, fail};
use crate::telemetry::{Event, Sample};

use draw::View;

/// From one look at the keyboard to the next.
const TURN: Duration = Duration::from_millis(100);
/// Before a broken connection is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the listening thread says.
enum News {
    Sample(Box<Sample>),
    Happened(Box<Event>),
    Trouble(String),
}

pub(super) fn top(reach: &args::Top) -> ExitCode {
    let client = match Client::find(reach.admin.as_deref(), reach.config.as_deref()) {
        Ok(client) => client,
        Err(message) => return fail(&message),
    };
    if !std::io::stdout().is_terminal() {
        return fail(&"standard output is no terminal: `steadfast status` prints what there is to see");
    }
    let from = client.address();
    let (sender, news) = mpsc::channel();
    std::thread::spawn(move || listen(&client, &sender));
    // Also restores the terminal when something panics.
    let shown = ratatui::try_init().and_then(|mut terminal| {
        let shown = show(&mut terminal, &news, View { from, ..View::default() });
        ratatui::try_restore().and(shown)
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot use the terminal: {error}")),
    }
}

fn show(terminal: &mut DefaultTerminal, news: &Receiver<News>, mut view: View) -> std::io::Result<()> {
    let mut changed = true;
    loop {
        for news in news.try_iter() {
            changed = true;
            match news {
                News::Sample(sample) => view.sampled(*sample),
                News::Happened(event) => view.happened(*event),
                News::Trouble(trouble) => view.trouble = Some(trouble),
            }
        }
        if std::mem::take(&mut changed) {
            terminal.draw(|frame| view.draw(frame))?;
        }
        if event::poll(TURN)? {
            match event::read()? {
                Input::Key(key) if key.kind == KeyEventKind::Release => {}
                Input::Key(key) if ends(key.code, key.modifiers) => return Ok(()),
                _ => changed = true,
            }
        }
    }
}

fn ends(code: KeyCode, modifiers: KeyModifiers) -> bool {
    matches!(code, KeyCode::Char('q') | KeyCode::Esc)
        || code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL)
}

/// Listens for as long as somebody looks.
fn listen(client: &Client, sender: &Sender<News>) {
    loop {
        let trouble = match client.stream("/v1/events") {
            Ok(events) => match hear(events, sender) {
                Some(trouble) => trouble,
                None => return,
            },
            Err(error) => error.to_string(),
        };
        if sender.send(News::Trouble(trouble)).is_err() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Passes events on until they end, and tells why; `None`: nobody looks any more.
fn hear(events: impl BufRead, sender: &Sender<News>) -> Option<String> {
    let mut name = String::new();
    for line in events.lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Some(format!("the connection broke: {error}; trying again")),
        };
        if let Some(kind) = line.strip_prefix("event: ") {
            kind.clone_into(&mut name);
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let news = match name.as_str() {
            "sample" => serde_json::from_str(data).map(|sample| News::Sample(Box::new(sample))),
            "happened" => serde_json::from_str(data).map(|event| News::Happened(Box::new(event))),
            // Some were missed; the next sample tells how things stand.
            _ => continue,
        };
        match news {
            Ok(news) => sender.send(news).ok()?,
            Err(error) => return Some(format!("it does not speak our language: {error}")),
        }
    }
    Some("the connection ended; trying again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_apart_and_their_end_is_told() {
        let text = "event: missed\ndata: {\"missed\":3}\n\nevent: sample\ndata: {\"at_s\":7,\"pools\":[],\"median_ms\":null,\
                    \"slow_ms\":null,\"differences\":[]}\n\nevent: happened\ndata: {\"number\":1,\"at_s\":7,\"kind\":\"lost\",\
                    \"pool\":null,\"backend\":null,\"text\":\"x\",\"request\":null}\n\n";
        let (sender, news) = mpsc::channel();
        assert!(hear(text.as_bytes(), &sender).unwrap().contains("ended"));
        let Ok(News::Sample(sample)) = news.try_recv() else { panic!("a sample") };
        assert_eq!(sample.at_s, 7);
        let Ok(News::Happened(event)) = news.try_recv() else { panic!("an event") };
        assert_eq!(event.text, "x");
        assert!(hear(&b"event: sample\ndata: {}\n\n"[..], &sender).unwrap().contains("our language"));
        drop(news);
        assert_eq!(hear(text.as_bytes(), &sender), None, "nobody looks");
    }
}
