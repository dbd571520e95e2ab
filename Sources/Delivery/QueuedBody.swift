import RelayCore
import Synchronization

/// A message's body. It is fetched from the queue at the first read, unless it came with the claim. So a transport that
/// reads nothing causes no load on the store.
///
/// It remembers why reading failed, because this reason decides the delivery's outcome, whatever the transport reports.
/// Nothing is read once another relay may have the delivery. So a request to SES that is in progress is broken off,
/// even in a process that was suspended in the meantime.
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
            // Checked again, because reading takes time.
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

    /// If reading was refused because the claim was lost: whether SES may have accepted the message. Nil when reading
    /// was not refused, or when the message was sent all the same.
    func brokenOff(_ outcome: DeliveryOutcome) -> Bool? {
        guard state.withLock({ $0.failure }) is ClaimLost else { return nil }
        return switch outcome {
        case .sent, .simulated: nil
        case .retry(let cause, _), .failed(let cause), .laneHeld(let cause, _): cause.mayHaveBeenTaken
        }
    }

    /// Returns the outcome to record. It differs from `outcome` when the transport could not read what it had to send.
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
