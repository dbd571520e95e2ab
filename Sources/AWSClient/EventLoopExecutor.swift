import NIOCore

/// Runs tasks on an event loop. A task that waits for a call on that loop then continues where the answer arrives, and
/// no other thread must be woken.
///
/// Tasks on it must not block and may compute only little at a time. The pieces of a request are short enough.
package final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    package init(_ loop: any EventLoop) { self.loop = loop }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
