//! [`Desk`]: what a worker keeps from one call to the next, so that a call costs nothing of what it does not use.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use roa_core::{Cancellation, Clock, Context, Key, Monotonic, WriteMark};

use crate::Run;
use crate::lease::{Permit, TermToken};

/// What a worker keeps from one call to the next.
pub(super) struct Desk {
    last: Option<Call>,
    alarm: Alarm,
}

/// What a call is given: most of it serves for all calls of a term.
pub(super) struct Call {
    pub(super) cx: Context,
    pub(super) mark: Arc<WriteMark>,
    pub(super) over: TermEnd,
    term: TermToken,
}

impl Desk {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { last: None, alarm: Alarm { clock, timer: None } }
    }

    /// What a run's call is given: a context under its term's fence, with a mark that nobody else writes to.
    pub(super) fn prepare(&mut self, base: &Context, run: &Run<Key>, permit: &Permit) -> (&mut Call, &mut Alarm) {
        if self.last.as_ref().is_some_and(|known| !permit.is_under(&known.term)) {
            self.last = None;
        }
        let call = self.last.get_or_insert_with(|| Call::first(base, permit));
        call.cx.begin_run(run.causes(), run.related(), run.failures());
        // One reference is here, one is in the context: any other is somebody's who goes on after an earlier call.
        if !call.mark.is_clean() || Arc::strong_count(&call.mark) > 2 {
            (call.cx, call.mark) = marked(call.cx.clone());
        }
        (call, &mut self.alarm)
    }

    /// There is no run now: until there is one, nothing else wakes the worker.
    pub(super) fn rest(&mut self) {
        self.alarm.timer = None;
    }
}

impl Call {
    fn first(base: &Context, permit: &Permit) -> Self {
        let cx = base.clone().with_resources(permit.fence(base.resources().clone()));
        let (cx, mark) = marked(cx.with_cancellation(permit.cancellation()));
        let over = TermEnd { sign: permit.cancellation(), wait: None };
        Self { cx, mark, over, term: permit.token() }
    }
}

fn marked(cx: Context) -> (Context, Arc<WriteMark>) {
    let mark = Arc::new(WriteMark::default());
    (cx.marking(Arc::clone(&mark)), mark)
}

/// The sign that calls of a term must end: waited for from the first call on that waits for anything.
pub(super) struct TermEnd {
    sign: Cancellation,
    wait: Option<BoxFuture<'static, ()>>,
}

impl TermEnd {
    /// Completes when the sign is given.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn comes(&mut self) {
        let sign = &self.sign;
        let wait = self.wait.get_or_insert_with(|| {
            let sign = sign.clone();
            async move { sign.cancelled().await }.boxed()
        });
        wait.await;
        self.wait = None;
    }
}

/// A deadline that moves on with each call. Its timer is set by the first call that waits for anything, and again only when
/// it went off and the deadline had moved on: not for each call.
pub(super) struct Alarm {
    clock: Arc<dyn Clock>,
    /// When it goes off, not after the deadline.
    timer: Option<(Monotonic, BoxFuture<'static, ()>)>,
}

impl Alarm {
    /// Completes when it is `deadline` or later.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn at(&mut self, deadline: Monotonic) {
        loop {
            let early = self.timer.take().filter(|(due, _)| *due <= deadline);
            let (_, timer) = self.timer.insert(early.unwrap_or_else(|| self.clock_timer(deadline)));
            timer.await;
            self.timer = None;
            if self.clock.monotonic() >= deadline {
                return;
            }
        }
    }

    fn clock_timer(&self, due: Monotonic) -> (Monotonic, BoxFuture<'static, ()>) {
        let clock = Arc::clone(&self.clock);
        (due, async move { clock.sleep_until(due).await }.boxed())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use roa_core::{ManualClock, Timestamp};

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn one_timer_serves_calls_whose_deadlines_move_on_and_each_ends_in_time() {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let mut desk = Desk::new(Arc::new(clock.clone()));
        for second in 0..5 {
            assert!(desk.alarm.at(at(second + 10)).now_or_never().is_none());
            assert_eq!(clock.pending_timers(), 1);
            clock.advance(Duration::from_secs(1));
        }
        let mut last = Box::pin(desk.alarm.at(at(14)));
        clock.advance(Duration::from_secs(5));
        assert!((&mut last).now_or_never().is_none(), "the timer of the first call went off; this one goes on");
        clock.advance(Duration::from_secs(4));
        assert!(last.now_or_never().is_some());
        assert!(desk.alarm.at(at(3)).now_or_never().is_some(), "what is past is not waited for");
    }

    #[test]
    fn an_earlier_deadline_is_kept_and_at_rest_there_is_no_timer() {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let mut desk = Desk::new(Arc::new(clock.clone()));
        assert!(desk.alarm.at(at(10)).now_or_never().is_none());
        let mut earlier = Box::pin(desk.alarm.at(at(2)));
        assert!((&mut earlier).now_or_never().is_none());
        clock.advance(Duration::from_secs(2));
        assert!(earlier.now_or_never().is_some());
        assert!(desk.alarm.at(at(10)).now_or_never().is_none());
        desk.rest();
        assert_eq!(clock.pending_timers(), 0);
    }
}
