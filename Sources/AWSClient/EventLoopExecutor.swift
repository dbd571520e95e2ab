import NIOCore

/// Runs tasks on an event loop: what waits for a call on that loop then goes on where its answer arrives, and no other thread has to
/// be woken for it.
///
/// What runs on it must not block, and computes little at a time: a request's pieces are short.
package final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    package init(_ loop: any EventLoop) { self.loop = loop }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
