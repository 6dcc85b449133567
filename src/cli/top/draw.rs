//! What `steadfast top` shows: pure, from numbers and events to a frame.

use std::collections::VecDeque;
use std::time::{Duration, UNIX_EPOCH};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};

use crate::telemetry::{BackendSample, Event, EventKind, Sample};

/// Events that are kept.
const EVENTS: usize = 200;
/// A certificate that ends in fewer days is a matter of today, as in the alert rules.
const SOON_DAYS: i64 = 14;
/// Seconds of the picture at the top.
const SECONDS: usize = 600;

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) sample: Option<Sample>,
    pub(super) events: VecDeque<Event>,
    /// Live sessions, second by second.
    pub(super) live: VecDeque<u64>,
    /// Why nothing new comes, if so.
    pub(super) trouble: Option<String>,
    /// Where it comes from.
    pub(super) from: String,
}

impl View {
    /// Enters the numbers of a second.
    pub(super) fn sampled(&mut self, sample: Sample) {
        if self.live.len() >= SECONDS {
            self.live.pop_front();
        }
        self.live.push_back(backends(&sample).map(|(_, backend)| backend.sessions.live).sum());
        (self.sample, self.trouble) = (Some(sample), None);
    }

    /// Enters an event; one that is known already changes nothing.
    pub(super) fn happened(&mut self, event: Event) {
        if self.events.iter().any(|known| known.number == event.number && known.at_s == event.at_s) {
            return;
        }
        if self.events.len() >= EVENTS {
            self.events.pop_back();
        }
        self.events.push_front(event);
    }

    /// Draws all of it.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let rows = self.sample.as_ref().map_or(1, |sample| backends(sample).count());
        let rows = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(3);
        let [head, picture, table, events, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(3),
            Constraint::Max(rows),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.summary(), head);
        self.draw_live(frame, picture);
        self.draw_backends(frame, table);
        self.draw_events(frame, events);
        frame.render_widget(self.foot(), foot);
    }

    fn summary(&self) -> Paragraph<'_> {
        let name = Span::styled("steadfast ", Style::new().add_modifier(Modifier::BOLD));
        if let Some(trouble) = &self.trouble {
            return Paragraph::new(Line::from(vec![name, Span::styled(trouble.as_str(), bad())]));
        }
        let Some(sample) = &self.sample else {
            return Paragraph::new(Line::from(vec![name, Span::raw(format!("waiting for {}", self.from))]));
        };
        let sum =
            |of: fn(&BackendSample) -> u64| backends(sample).map(|(_, backend)| of(backend)).sum::<u64>();
        let rate: f64 = backends(sample).map(|(_, backend)| backend.rate).sum();
        let (live, moved) = (sum(|backend| backend.sessions.live), sum(|backend| backend.sessions.moved_in));
        let lost = sum(|backend| backend.sessions.lost());
        let lost_words = Span::styled(format!("{lost} lost"), if lost > 0 { bad() } else { Style::new() });
        Paragraph::new(Line::from(vec![
            name,
            Span::raw(format!("{}  {live} sessions  {moved} moved  ", time_of_day(sample.at_s))),
            lost_words,
            Span::raw(format!("  {rate:.1} requests/s  half took {}", took(sample.median_ms))),
        ]))
    }

    /// Keys, and the certificate that ends first.
    fn foot(&self) -> Paragraph<'_> {
        let mut line = Line::from(Span::raw("q: quit").dim());
        if self.sample.as_ref().is_some_and(|sample| backends(sample).any(|(_, backend)| drains(backend))) {
            line.push_span(Span::raw("  ▼: left to drain (≈: until 95 % are gone)").dim());
        }
        let first = self.sample.as_ref().and_then(|sample| {
            let first = sample.certificates.iter().min_by_key(|certificate| certificate.ends_s)?;
            Some((first, first.days_left(sample.at_s)))
        });
        if let Some((certificate, days)) = first {
            let words = match days {
                ..=-1 => format!("  the certificate of {} has ended", certificate.name),
                1 => format!("  the certificate of {} ends in 1 day", certificate.name),
                days => format!("  the certificate of {} ends in {days} days", certificate.name),
            };
            line.push_span(if days < SOON_DAYS {
                Span::styled(words, bad())
            } else {
                Span::raw(words).dim()
            });
        }
        Paragraph::new(line)
    }

    fn draw_live(&self, frame: &mut Frame<'_>, area: Rect) {
        let width = usize::from(area.width);
        let from = self.live.len().saturating_sub(width);
        let data: Vec<u64> = self.live.iter().skip(from).copied().collect();
        frame.render_widget(Sparkline::default().data(data).style(Style::new().fg(Color::Cyan)), area);
    }

    fn draw_backends(&self, frame: &mut Frame<'_>, area: Rect) {
        let sample = self.sample.as_ref();
        let rows = sample.into_iter().flat_map(backends).map(|(pool, backend)| row(pool, backend));
        // Eighty columns have to do.
        let widths = [
            Constraint::Min(14),
            Constraint::Length(11),
            Constraint::Length(8),
            Constraint::Length(6),
            Constraint::Length(7),
            Constraint::Length(7),
            Constraint::Length(5),
            Constraint::Length(6),
            Constraint::Length(5),
        ];
        let head = ["BACKEND", "STATE", "SESSIONS", "REQ/S", "HALF", "99 %", "ERR/S", "FLIGHT", "LOST"];
        let table = Table::new(rows, widths)
            .header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
            .block(Block::bordered().title(" pools "));
        frame.render_widget(table, area);
    }

    fn draw_events(&self, frame: &mut Frame<'_>, area: Rect) {
        let room = usize::from(area.height.saturating_sub(2));
        let lines: Vec<_> = self.events.iter().take(room).map(line).collect();
        let title = match &self.sample {
            Some(sample) if !sample.differences.is_empty() => {
                format!(" what happened; differs from the file: {} ", sample.differences.join("; "))
            }
            _ => " what happened ".to_owned(),
        };
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
    }
}

fn backends(sample: &Sample) -> impl Iterator<Item = (&str, &BackendSample)> {
    sample.pools.iter().flat_map(|pool| pool.backends.iter().map(|backend| (pool.name.as_str(), backend)))
}

fn row<'a>(pool: &str, backend: &'a BackendSample) -> Row<'a> {
    let state = match (backend.drain_forecast_s, backend.drain_left_s) {
        (Some(0), _) if drains(backend) => "▼ ≈done".to_owned(),
        (Some(until), _) if drains(backend) => format!("▼ ≈{}", minutes(until)),
        (None, Some(left)) if drains(backend) => format!("▼ {}", minutes(left)),
        (..) => backend.state.clone(),
    };
    let style = match backend.state.as_str() {
        "up" => Style::new().fg(Color::Green),
        "down" => bad(),
        _ => Style::new().fg(Color::Yellow),
    };
    let lost = backend.sessions.lost();
    let waiting = if backend.waiting > 0 { format!("+{}", backend.waiting) } else { String::new() };
    Row::new(vec![
        Cell::from(format!("{pool}/{}", backend.id)),
        Cell::from(state).style(style),
        Cell::from(backend.sessions.live.to_string()),
        Cell::from(format!("{:.1}", backend.rate)),
        Cell::from(took(backend.median_ms)),
        Cell::from(took(backend.slow_ms)),
        Cell::from(format!("{:.1}", backend.error_rate)).style(if backend.error_rate > 0.0 {
            bad()
        } else {
            Style::new()
        }),
        Cell::from(format!("{}{waiting}", backend.in_flight)),
        Cell::from(lost.to_string()).style(if lost > 0 { bad() } else { Style::new() }),
    ])
}

fn drains(backend: &BackendSample) -> bool {
    backend.state == "draining"
}

/// In whole minutes, where it is more than one.
fn minutes(seconds: u64) -> String {
    let whole = if seconds < 60 { seconds } else { seconds - seconds % 60 };
    humantime::format_duration(Duration::from_secs(whole)).to_string()
}

fn line(event: &Event) -> Line<'_> {
    let style = match event.kind {
        EventKind::Lost | EventKind::Alert => bad(),
        EventKind::Moved | EventKind::Drain => Style::new().fg(Color::Yellow),
        EventKind::State | EventKind::Configuration | EventKind::Upgrade => Style::new(),
    };
    let pool = event.pool.as_ref().map(|pool| format!("{pool}: ")).unwrap_or_default();
    Line::from(vec![
        Span::raw(format!("{}  {pool}", time_of_day(event.at_s))),
        Span::styled(event.text.as_str(), style),
    ])
}

fn bad() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

fn took(ms: Option<f64>) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1000.0),
    }
}

/// In UTC, as the log has it.
fn time_of_day(unix_s: u64) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_s)).to_string();
    time.get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::names::{BackendId, PoolName};
    use crate::telemetry::{CertificateSample, PoolSample, Sessions};

    fn backend(id: &str, state: &str, live: u64, lost: u64) -> BackendSample {
        let sessions = Sessions { live, lost_at_home: lost, moved_in: 3, ..Sessions::default() };
        BackendSample {
            id: id.to_owned(),
            state: state.to_owned(),
            rate: 12.34,
            median_ms: Some(3.21),
            slow_ms: Some(1200.0),
            drain_left_s: (state == "draining").then_some(1800),
            waiting: 2,
            sessions,
            ..BackendSample::default()
        }
    }

    fn event(number: u64, kind: EventKind, text: &str) -> Event {
        let (pool, backend) = (Some(PoolName::new("app")), Some(BackendId::new("app2")));
        Event { number, at_s: 50_531, kind, pool, backend, text: text.to_owned(), request: None }
    }

    /// The frame as text, and the colour of the first cell of a word.
    fn drawn(view: &View, width: u16, height: u16) -> (String, impl Fn(&str) -> Color + use<>) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let lines: Vec<String> = (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect();
        let text = lines.join("\n");
        let colour = move |word: &str| {
            let (y, line) = lines.iter().enumerate().find(|(_, line)| line.contains(word)).unwrap();
            let x = line[..line.find(word).unwrap()].chars().count();
            buffer[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].fg
        };
        (text, colour)
    }

    fn view() -> View {
        let mut view = View { from: "127.0.0.1:9900".to_owned(), ..View::default() };
        let backends = vec![
            backend("app1", "up", 40, 0),
            backend("app2", "down", 0, 7),
            backend("app3", "draining", 2, 0),
        ];
        let pools = vec![PoolSample { name: "app".to_owned(), backends }];
        let differences = vec!["pool app: backend app3: state up → draining".to_owned()];
        let median_ms = Some(3.21);
        view.sampled(Sample { at_s: 50_531, pools, median_ms, differences, ..Sample::default() });
        view.happened(event(1, EventKind::State, "app2: up → down"));
        view.happened(event(2, EventKind::Lost, "a session was lost"));
        view
    }

    #[test]
    fn a_glance_tells_what_is_wrong() {
        let view = view();
        let (text, colour) = drawn(&view, 110, 24);
        let row = |id: &str| text.lines().find(|line| line.contains(id)).unwrap().to_owned();
        assert!(
            text.starts_with("steadfast 14:02:11  42 sessions  9 moved  7 lost  37.0 requests/s"),
            "{text}"
        );
        assert!(row("app/app1").contains("40") && row("app/app1").contains("3.2 ms"), "{text}");
        assert!(row("app/app1").contains("1.2 s") && row("app/app1").contains("0+2"), "{text}");
        assert!(row("app/app3").contains("▼ 30m"), "{text}");
        assert!(text.contains("differs from the file: pool app: backend app3"), "{text}");
        let (lost, down) = (text.find("a session was lost").unwrap(), text.find("app2: up → down").unwrap());
        assert!(lost < down, "the latest first: {text}");
        assert_eq!([colour("7 lost"), colour("down "), colour("a session was lost")], [Color::Red; 3]);
        assert_eq!((colour("up "), colour("▼")), (Color::Green, Color::Yellow));
    }

    #[test]
    fn the_certificate_that_ends_first_and_the_forecast_of_a_drain_are_told() {
        let mut view = view();
        let certificate = |name: &str, days: i64| {
            let ends_s = 50_531 + days * 24 * 3600 + 60;
            CertificateSample { listener: "web".to_owned(), name: name.to_owned(), ends_s }
        };
        let mut sample = view.sample.clone().unwrap();
        sample.certificates = vec![certificate("late.test", 80), certificate("soon.test", 3)];
        sample.pools[0].backends[2].drain_forecast_s = Some(725);
        view.sampled(sample.clone());
        let (text, colour) = drawn(&view, 120, 24);
        assert!(text.contains("▼ ≈12m") && text.contains("soon.test ends in 3 days"), "{text}");
        assert!(!text.contains("late.test"), "{text}");
        assert_eq!(colour("the certificate"), Color::Red);
        sample.certificates[1].ends_s = 50_530;
        view.sampled(sample);
        assert!(drawn(&view, 120, 24).0.contains("the certificate of soon.test has ended"));
    }

    #[test]
    fn it_fits_any_terminal_and_says_what_is_the_matter() {
        let mut view = view();
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
            let _ = drawn(&view, width, height);
        }
        view.trouble = Some("nobody listens on 127.0.0.1:9900".to_owned());
        let (text, colour) = drawn(&view, 80, 24);
        assert!(text.starts_with("steadfast nobody listens on 127.0.0.1:9900"), "{text}");
        assert_eq!(colour("nobody"), Color::Red);
        assert!(text.contains("app/app1"), "what was known stays: {text}");
        assert!(drawn(&View::default(), 80, 24).0.contains("waiting for"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_an_event_told_again_is_the_same() {
        let mut view = view();
        view.happened(event(2, EventKind::Lost, "a session was lost"));
        assert_eq!(view.events.len(), 2);
        (3..1000).for_each(|n| view.happened(event(n, EventKind::State, "x")));
        (0..1000).for_each(|_| view.sampled(Sample::default()));
        assert_eq!((view.events.len(), view.events[0].number, view.live.len()), (EVENTS, 999, SECONDS));
    }
}
