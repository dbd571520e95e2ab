/// How much space is kept free on the store's disk, and how much of it simulated sends may use. All sizes are in
/// octets.
///
/// If space runs out, mail of test keys is refused first, then large messages of live keys. Small live mail is accepted
/// as long as there is any space, because a person may wait for it.
public struct StoragePolicy: Hashable, Sendable {
    /// With less free space than this, only small messages of live keys are accepted.
    public var reserve: Int
    /// With less free space than this, test keys are refused.
    public var reserveTest: Int
    /// The total size that the bodies of test keys' messages may use. The oldest bodies of ended messages are deleted
    /// first.
    public var simulatedSize: Int

    public init(reserve: Int = 256 << 20, reserveTest: Int = 1 << 30, simulatedSize: Int = 1 << 30) {
        self.reserve = reserve
        self.reserveTest = reserveTest
        self.simulatedSize = simulatedSize
    }

    /// A policy that keeps nothing free and limits nothing.
    public static let unlimited = StoragePolicy(reserve: 0, reserveTest: 0, simulatedSize: .max)

    /// The size of the largest message that is still accepted from live keys when less than `reserve` is free.
    public static let smallMessage = 128 << 10

    /// Why a message is refused now, with the reason ``RefusalReason/storage``; nil if it is accepted.
    ///
    /// - Parameters:
    ///   - size: the message's size; 0 if it is not known yet.
    ///   - free: the free space of the disk; nil if it is not known, in which case nothing is refused.
    public func refusal(of environment: Environment, size: Int, free: Int?) -> Refusal? {
        guard let free else { return nil }
        let (left, isBeyond) = free.subtractingReportingOverflow(max(0, size))
        let after = isBeyond ? 0 : max(0, left)
        switch environment {
        case .test:
            guard after < reserveTest else { return nil }
            return Refusal(
                .storage,
                "The relay is short of disk space and keeps it for live mail; it accepts mail from test keys again when there is more space; send it later"
            )
        case .live:
            guard size > StoragePolicy.smallMessage, after < reserve else { return nil }
            return Refusal(
                .storage,
                "The relay is short of disk space and accepts only messages of up to \(StoragePolicy.smallMessage >> 10) KiB until there is more space; send it later, or make it smaller"
            )
        }
    }
}
