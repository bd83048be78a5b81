use super::*;
use crate::api::CloseRouter;

/// A worker whose thread runs `act` instead of the loop.
fn worker_of(act: impl FnOnce(EndGuard) + Send + 'static) -> Worker {
    let shared = Arc::new(Shared::new(8).unwrap());
    let guard = EndGuard {
        shared: Arc::clone(&shared),
        stop_requested: false,
    };
    let thread = thread::spawn(move || act(guard));
    let local = SocketAddr::from(([127, 0, 0, 1], 9));
    Worker {
        shared,
        local,
        thread: Mutex::new(Some(thread)),
    }
}

#[test]
fn a_thread_that_ends_by_itself_is_reported_and_leaves_no_caller_waiting() {
    let (go, wait) = sync_channel::<()>(0);
    let worker = worker_of(move |guard| {
        let _guard = guard;
        let _ = wait.recv();
        // Unlike `panic!`, prints no message that would look like a failure in the test's
        // output.
        std::panic::resume_unwind(Box::new(()));
    });
    let router = RouterHandle(1);
    let answer = thread::scope(|scope| {
        let request = scope.spawn(|| worker.snapshot(router));
        while worker.shared.inbox().requests.is_empty() {
            thread::yield_now();
        }
        drop(go);
        request.join().unwrap()
    });
    assert_eq!(answer.err(), Some(Ended));
    assert_eq!(
        worker.submit(Command::CloseRouter(CloseRouter { router })),
        Err(Ended)
    );
    let failure = Event::CommandFailed {
        command: "worker",
        handle: 0,
        reason: "thread_ended",
    };
    // The thread pushes the event after it starts to refuse commands.
    worker.close();
    assert_eq!(Vec::from(worker.drain()), [failure]);
}

#[test]
fn queued_commands_share_one_wakeup_and_keep_their_order() {
    let (go, wait) = sync_channel::<()>(0);
    let worker = worker_of(move |mut guard| {
        let _ = wait.recv();
        guard.stop_requested = true;
    });
    let routers = || {
        let requests = worker.shared.take_requests().into_iter();
        requests
            .map(|request| match request {
                Request::Command(Command::CloseRouter(close)) => close.router.0,
                _ => 0,
            })
            .collect::<Vec<_>>()
    };
    let close = |router| {
        Command::CloseRouter(CloseRouter {
            router: RouterHandle(router),
        })
    };
    worker.queue(close(1)).unwrap();
    worker.queue(close(2)).unwrap();
    assert_eq!(worker.shared.bell.wakeup().signals(), 0);
    worker.flush();
    worker.flush();
    worker.submit(close(3)).unwrap();
    assert_eq!(worker.shared.bell.wakeup().signals(), 1);
    assert_eq!(routers(), [1, 2, 3]);
    worker.flush();
    assert_eq!(worker.shared.bell.wakeup().signals(), 0);
    worker.queue(close(4)).unwrap();
    worker.submit(close(5)).unwrap();
    assert_eq!(worker.shared.bell.wakeup().signals(), 1);
    assert_eq!(routers(), [4, 5]);
    drop(go);
}

#[test]
fn closing_a_worker_reports_no_failure() {
    let worker = Worker::start(WorkerSettings {
        host: [127, 0, 0, 1].into(),
        event_ring_size: 8,
        ..WorkerSettings::default()
    })
    .unwrap();
    worker.close();
    assert!(worker.drain().is_empty());
    assert_eq!(worker.snapshot(RouterHandle(1)).err(), Some(Ended));
}
