import Dispatch
import Logging
import NIOCore
import NIOPosix
import Supervision
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct WatchdogTests {
    /// The test blocks a real event loop.
    @Test func anEventLoopThatHangsIsSeen() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let clock = ManualClock()
        let parts = group.makeIterator().enumerated().map { number, loop in
            Watchdog.Part.eventLoop(loop, "event loop \(number)", timeout: .seconds(15))
        }
        let watchdog = Watchdog(parts, clock: clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        /// Waits until these event loops have answered what they were asked.
        let settle = { (loops: [Int]) in
            for (number, loop) in group.makeIterator().enumerated() where loops.contains(number) {
                try await loop.submit {}.get()
            }
        }
        #expect(watchdog.check())
        try await settle([0, 1])
        let release = DispatchSemaphore(value: 0)
        let loops = Array(group.makeIterator())
        loops[0].execute { release.wait() }
        clock.advance(.seconds(16))
        // All loops have answered. Now the first one is asked while it hangs.
        #expect(watchdog.check())
        try await settle([1])
        clock.advance(.seconds(15))
        #expect(watchdog.check())
        clock.advance(.seconds(1))
        #expect(!watchdog.check())
        release.signal()
        try await settle([0, 1])
        #expect(watchdog.check())
        try await group.shutdownGracefully()
    }
}
