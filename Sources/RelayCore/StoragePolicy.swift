/// What is kept free on the disk of the store, and how much of it simulated sends may take. All sizes are in octets.
///
/// When space runs out, test keys are refused first, then large messages, so that small live mail is taken longest: down to
/// the last octet, since nothing is as bad as refusing what somebody waits for.
public struct StoragePolicy: Hashable, Sendable {
    /// With less than this free, only small messages of live keys are taken.
    public var reserve: Int
    /// With less than this free, test keys are refused.
    public var reserveTest: Int
    /// What the bodies of test keys' messages may take together; the oldest that have ended go first.
    public var simulatedSize: Int

    public init(reserve: Int = 256 << 20, reserveTest: Int = 1 << 30, simulatedSize: Int = 1 << 30) {
        self.reserve = reserve
        self.reserveTest = reserveTest
        self.simulatedSize = simulatedSize
    }

    /// Nothing is kept free and nothing is bounded.
    public static let unlimited = StoragePolicy(reserve: 0, reserveTest: 0, simulatedSize: .max)

    /// The largest message that is still taken from live keys when the reserve is touched.
    public static let smallMessage = 128 << 10

    /// Why a message is not taken now, with the reason ``RefusalReason/storage``; nil if it is.
    ///
    /// - Parameters:
    ///   - size: of the message; 0 where it is not known yet.
    ///   - free: what is free on the disk; nil where that is not known, which refuses nothing.
    public func refusal(of environment: Environment, size: Int, free: Int?) -> Refusal? {
        guard let free else { return nil }
        let (left, isBeyond) = free.subtractingReportingOverflow(max(0, size))
        let after = isBeyond ? 0 : max(0, left)
        switch environment {
        case .test:
            guard after < reserveTest else { return nil }
            return Refusal(
                .storage,
                "The relay is short of disk space and keeps it for live mail; it takes mail from test keys again when there is more, send it later"
            )
        case .live:
            guard size > StoragePolicy.smallMessage, after < reserve else { return nil }
            return Refusal(
                .storage,
                "The relay is short of disk space and takes only messages of up to \(StoragePolicy.smallMessage >> 10) KiB until there is more; send it later, or make it smaller"
            )
        }
    }
}
