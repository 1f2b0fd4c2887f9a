//! What is shown: the latest answers, and where the keys have led.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use upspan_proto::v1;

/// The windows that one can choose, in seconds; 0 for all that is kept.
const WINDOWS: [u64; 4] = [60, 10, 600, 0];

/// Rates that are kept: as many as a wide terminal has columns.
const RATES: usize = 300;

/// What the agent says, at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) status: v1::ServerStatusResponse,
    pub(super) statistics: v1::GetStatisticsResponse,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    /// Fresh answers, at once.
    Ask,
    Quit,
}

/// What is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    answers: Answers,
    /// Upcalls of the whole agent per second, the latest last.
    rates: VecDeque<u64>,
    seen: Option<(Instant, u64)>,
    window: usize,
    is_paused: bool,
    /// Which of the slowest is shown.
    selected: usize,
}

impl View {
    /// Takes answers that came now.
    pub(super) fn update(&mut self, answers: Answers, now: Instant) {
        let seen = answers.status.seen_upcalls;
        if let Some((before, seen_before)) = self.seen {
            let elapsed = now.saturating_duration_since(before).max(Duration::from_millis(1));
            let came = seen.saturating_sub(seen_before);
            self.rates.push_back((came as f64 / elapsed.as_secs_f64()).round() as u64);
            if self.rates.len() > RATES {
                self.rates.pop_front();
            }
        }
        self.seen = Some((now, seen));
        self.answers = answers;
        self.selected = self.selected.min(self.last());
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Action {
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Action::Quit,
            // In raw mode, Ctrl-C is a key like others.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Action::Quit;
            }
            KeyCode::Char('w') => {
                self.window = (self.window + 1) % WINDOWS.len();
                return Action::Ask;
            }
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                // Nobody has counted in between.
                self.seen = None;
            }
            KeyCode::Down | KeyCode::Char('j') => {
                self.selected = (self.selected + 1).min(self.last())
            }
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Home => self.selected = 0,
            KeyCode::End => self.selected = self.last(),
            _ => {}
        }
        Action::None
    }

    /// The place of the last of the slowest.
    fn last(&self) -> usize {
        self.answers.statistics.slowest.len().saturating_sub(1)
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(super) fn window_ns(&self) -> u64 {
        WINDOWS[self.window] * 1_000_000_000
    }

    pub(super) fn window(&self) -> String {
        match WINDOWS[self.window] {
            0 => "all kept".to_owned(),
            seconds => format!("last {seconds} s"),
        }
    }

    pub(super) const fn answers(&self) -> &Answers {
        &self.answers
    }

    pub(super) const fn rates(&self) -> &VecDeque<u64> {
        &self.rates
    }

    /// The upcall that is shown, and its place among the slowest.
    pub(super) fn selected(&self) -> Option<(usize, &v1::Upcall)> {
        Some((self.selected, self.answers.statistics.slowest.get(self.selected)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(seen_upcalls: u64, slowest: usize) -> Answers {
        let status = v1::ServerStatusResponse { seen_upcalls, ..Default::default() };
        let slowest = vec![v1::Upcall::default(); slowest];
        let statistics = v1::GetStatisticsResponse { slowest, ..Default::default() };
        Answers { status, statistics }
    }

    #[test]
    fn rates_are_of_what_came_in_between() {
        let (mut view, start) = (View::default(), Instant::now());
        view.update(answers(100, 0), start);
        view.update(answers(300, 0), start + Duration::from_secs(2));
        // An agent that was started anew.
        view.update(answers(0, 0), start + Duration::from_secs(3));
        assert_eq!(view.rates(), &[100, 0]);
        for second in 0..2 * RATES as u64 {
            view.update(answers(second, 0), start + Duration::from_secs(4 + second));
        }
        assert_eq!(view.rates().len(), RATES);
    }

    #[test]
    fn keys() {
        let mut view = View::default();
        let press = |view: &mut View, code| view.key(KeyEvent::from(code));
        assert_eq!(press(&mut view, KeyCode::Down), Action::None);
        assert!(view.selected().is_none());
        view.update(answers(0, 2), Instant::now());
        for _ in 0..3 {
            press(&mut view, KeyCode::Down);
        }
        assert_eq!(view.selected().unwrap().0, 1);
        view.update(answers(0, 1), Instant::now());
        assert_eq!(view.selected().unwrap().0, 0);
        assert_eq!(press(&mut view, KeyCode::Char('w')), Action::Ask);
        assert_eq!(view.window(), "last 10 s");
        press(&mut view, KeyCode::Char('p'));
        assert!(view.is_paused());
        assert_eq!(press(&mut view, KeyCode::Char('c')), Action::None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.key(interrupt), Action::Quit);
        assert_eq!(press(&mut view, KeyCode::Char('q')), Action::Quit);
    }
}
