import RelayCore
import Synchronization

/// A message's bytes, fetched from the queue at the first read unless they came with the claim: a transport that reads
/// nothing costs the store nothing.
///
/// Remembers why reading failed, since that decides what becomes of the delivery, whatever the transport makes of it. Nothing is read once
/// the delivery may be another relay's: so a request that is under way breaks off, also in a process that slept meanwhile.
final class QueuedBody: StoredBody {
    private struct State {
        var body: (any StoredBody)?
        var failure: (any Error)?
    }

    private let queue: any DeliveryQueue
    private let delivery: ClaimedDelivery
    private var message: MessageID { delivery.message }
    private let state = Mutex(State())

    let size: Int

    init(of delivery: ClaimedDelivery, in queue: any DeliveryQueue) {
        self.queue = queue
        self.delivery = delivery
        size = delivery.size
        if let bytes = delivery.body { state.withLock { $0.body = MemoryBody(bytes: bytes) } }
    }

    func read(at offset: Int, count: Int) async throws -> [UInt8] {
        do {
            guard queue.owns(delivery) else { throw ClaimLost() }
            let piece = try await opened().read(at: offset, count: count)
            // To read takes time.
            guard queue.owns(delivery) else { throw ClaimLost() }
            return piece
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            state.withLock { $0.failure = error }
            throw error
        }
    }

    var mayBeSent: Bool {
        guard !queue.owns(delivery) else { return true }
        state.withLock { $0.failure = ClaimLost() }
        return false
    }

    private struct ClaimLost: Error, CustomStringConvertible {
        var description: String { "the relay has lost its claim to the message" }
    }

    /// Whether the message may have been taken, where reading was refused because the claim is lost; nil where it was not, or where the
    /// message was sent all the same.
    func brokenOff(_ outcome: DeliveryOutcome) -> Bool? {
        guard state.withLock({ $0.failure }) is ClaimLost else { return nil }
        return switch outcome {
        case .sent, .simulated: nil
        case .retry(let cause, _), .failed(let cause), .laneHeld(let cause, _): cause.mayHaveBeenTaken
        }
    }

    /// An outcome in which the transport could not read what it was to send.
    func judge(_ outcome: DeliveryOutcome) -> DeliveryOutcome {
        guard let failure = state.withLock({ $0.failure }) else { return outcome }
        let mayHaveBeenTaken: Bool
        switch outcome {
        case .sent, .simulated: return outcome
        case .retry(let cause, _), .failed(let cause), .laneHeld(let cause, _):
            mayHaveBeenTaken = cause.mayHaveBeenTaken
        }
        switch failure as? StoreError {
        case .bodyGone, .noSuchMessage:
            return .failed(.init("body-gone", "\(failure)", mayHaveBeenTaken: mayHaveBeenTaken))
        default:
            let cause = DeliveryOutcome.Cause("body-unreadable", "\(failure)", mayHaveBeenTaken: mayHaveBeenTaken)
            return .retry(cause, pace: .normal)
        }
    }

    private func opened() async throws -> any StoredBody {
        if let body = state.withLock({ $0.body }) { return body }
        let body = try await queue.body(of: message)
        state.withLock { $0.body = body }
        return body
    }
}
