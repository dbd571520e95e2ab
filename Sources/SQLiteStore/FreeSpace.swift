import Dispatch
import Glibc
import RelayCore
import Synchronization

/// What is free on a file system, asked for once a second at most.
final class FreeSpace: Sendable {
    private struct Measure {
        var free: Int?
        var at = MonotonicTime.distantPast
    }

    private let measure: @Sendable () -> Int?
    private let last = Mutex(Measure())

    /// In seconds.
    static let freshness = 1.0

    /// `measure` may block.
    init(_ measure: @escaping @Sendable () -> Int?) { self.measure = measure }

    /// Of the file system that a file is on, for who is not root; nil when it can't be told.
    static func octets(at path: String) -> Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let (free, isBeyond) = Int(clamping: status.f_bavail)
            .multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
        return isBeyond ? .max : free
    }

    /// In octets, a second old at most. May block.
    func free() -> Int? {
        let now = SystemClock().monotonicNow()
        let known = last.withLock { $0 }
        if now.seconds(since: known.at) < FreeSpace.freshness { return known.free }
        let found = measure()
        last.withLock { $0 = Measure(free: found, at: now) }
        return found
    }

    /// As it was known last. Never blocks: what is older than a second is asked for again on `queue`.
    func latest(refreshingOn queue: DispatchQueue) -> Int? {
        let now = SystemClock().monotonicNow()
        let (known, isOld) = last.withLock { last in
            let isOld = now.seconds(since: last.at) >= FreeSpace.freshness
            // Who comes next need not ask as well.
            if isOld { last.at = now }
            return (last.free, isOld)
        }
        if isOld {
            queue.async { [self] in
                let found = measure()
                last.withLock { $0.free = found }
            }
        }
        return known
    }
}
