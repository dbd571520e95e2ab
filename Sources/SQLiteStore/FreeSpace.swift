import Dispatch
import Glibc
import RelayCore
import Synchronization

/// The free space of a file system, measured at most once a second.
final class FreeSpace: Sendable {
    private struct Measure {
        var free: Int?
        var at = MonotonicTime.distantPast
    }

    private let measure: @Sendable () -> Int?
    private let last = Mutex(Measure())

    /// The age up to which a measured value is used, in seconds.
    static let freshness = 1.0

    /// - Parameter measure: returns the free space in octets, or nil if it can't be determined. This call may block.
    init(_ measure: @escaping @Sendable () -> Int?) { self.measure = measure }

    /// The free space of a file's file system for users other than root; nil if it can't be determined.
    static func octets(at path: String) -> Int? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let (free, isBeyond) = Int(clamping: status.f_bavail)
            .multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
        return isBeyond ? .max : free
    }

    /// The free space in octets, measured at most a second ago; nil if it can't be determined. May block.
    func free() -> Int? {
        let now = SystemClock().monotonicNow()
        let known = last.withLock { $0 }
        if now.seconds(since: known.at) < FreeSpace.freshness { return known.free }
        let found = measure()
        last.withLock { $0 = Measure(free: found, at: now) }
        return found
    }

    /// The free space in octets that was measured last; nil if none is known. Never blocks: if the value is older than
    /// a second, the space is measured again on `queue`.
    func latest(refreshingOn queue: DispatchQueue) -> Int? {
        let now = SystemClock().monotonicNow()
        let (known, isOld) = last.withLock { last in
            let isOld = now.seconds(since: last.at) >= FreeSpace.freshness
            // The next caller need not measure as well.
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
