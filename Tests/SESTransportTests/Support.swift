import AWSTestSupport
import Foundation
import RelayCore
import Synchronization
import Testing

@testable import AWSClient
@testable import SESTransport

/// A stored body in memory, which notes how it was read.
final class MemoryBody: StoredBody {
    struct Unreadable: Error, CustomStringConvertible { let description = "the disk is gone" }

    let bytes: [UInt8]
    let size: Int
    private let mostAtATime: Int
    private let failsAt: Int?
    private let reads = Mutex<[(offset: Int, count: Int)]>([])

    /// `claiming` is a size that differs from the real one. `mostAtATime` is the most that one read returns.
    init(_ bytes: [UInt8], claiming size: Int? = nil, mostAtATime: Int = .max, failsAt: Int? = nil) {
        self.bytes = bytes
        self.size = size ?? bytes.count
        self.mostAtATime = mostAtATime
        self.failsAt = failsAt
    }

    func read(at offset: Int, count: Int) throws -> [UInt8] {
        reads.withLock { $0.append((offset, count)) }
        if let failsAt, offset + count > failsAt { throw Unreadable() }
        let end = min(bytes.count, offset + min(count, mostAtATime))
        return offset < end ? Array(bytes[offset..<end]) : []
    }

    var readsSoFar: [(offset: Int, count: Int)] { reads.withLock { $0 } }
}

extension ClaimedDelivery {
    static func example(
        to recipients: [String] = ["ann@example.org"], from sender: String? = "bounces@example.com", size: Int = 0
    ) throws -> ClaimedDelivery {
        ClaimedDelivery(
            id: DeliveryID(rawValue: 1), message: try #require(MessageID(rawValue: 1)),
            key: try #require(KeyID("Ab3dE6gH")), lane: .live,
            envelope: Envelope(reversePath: sender, recipients: recipients), size: size,
            queuedSince: Timestamp(milliseconds: 1_795_530_797_042), attempts: 0, maybeDuplicate: false)
    }
}

/// Pseudo-random bytes, the same each time.
func noise(_ count: Int) -> [UInt8] {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        for i in 0..<count {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            buffer[i] = UInt8(truncatingIfNeeded: state)
        }
        initialized = count
    }
}
