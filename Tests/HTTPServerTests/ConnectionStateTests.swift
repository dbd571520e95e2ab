import NIOCore
import Testing

@testable import HTTPServer

@Suite struct ConnectionStateTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func at(_ seconds: Int64) -> NIODeadline { start + .seconds(seconds) }

    private func state() -> HTTPConnectionState { HTTPConnectionState(HTTPTimeouts(), connectedAt: start) }

    /// Receives a whole request with a body of this many octets.
    private func receive(_ state: inout HTTPConnectionState, at seconds: Int64, body octets: Int = 10) {
        #expect(state.headReceived(at: at(seconds)) == .pass)
        #expect(state.bodyReceived(octets) == .pass)
        #expect(state.endReceived() == .pass)
    }

    private func respond(_ state: inout HTTPConnectionState, at seconds: Int64) -> HTTPConnectionState.AfterResponse {
        _ = state.responseBegins(at: at(seconds))
        return state.responseEnded(at: at(seconds))
    }

    // MARK: Order

    @Test func oneRequestAfterTheOther() {
        var state = state()
        for second in 1...3 as ClosedRange<Int64> {
            receive(&state, at: second)
            #expect(!state.wantsInput)
            #expect(state.responseBegins(at: at(1)) == .pass)
            #expect(state.isResponding)
            #expect(state.responseEnded(at: at(second)) == .next)
            #expect(state.wantsInput)
        }
    }

    @Test func pipelinedInputIsKept() {
        var state = state()
        receive(&state, at: 1)
        #expect(state.headReceived(at: at(1)) == .keep)
        #expect(state.bodyReceived(5) == .keep)
        #expect(state.endReceived() == .keep)
        let after = respond(&state, at: 1)
        #expect(after == .next)
        receive(&state, at: 1)
    }

    @Test func responseBeforeTheRequestEndsIsTheLastAndLingers() {
        var state = state()
        _ = state.headReceived(at: at(1))
        _ = state.bodyReceived(100)
        #expect(state.responseBegins(at: at(1)) == .passAsLast)
        #expect(state.responseEnded(at: at(2)) == .linger)
        #expect(state.isLingering)
        #expect(state.responseBegins(at: at(1)) == .drop)
    }

    @Test func earlyResponseIsTheLastEvenIfTheRequestThenEnds() {
        var state = state()
        _ = state.headReceived(at: at(1))
        #expect(state.responseBegins(at: at(1)) == .passAsLast)
        _ = state.endReceived()
        #expect(state.responseEnded(at: at(2)) == .close)
    }

    @Test func theRestOfABodyIsReadToALimit() {
        var timeouts = HTTPTimeouts()
        timeouts.lingerOctets = 1000
        var state = HTTPConnectionState(timeouts, connectedAt: start)
        _ = state.headReceived(at: at(1))
        let after = respond(&state, at: 1)
        #expect(after == .linger)
        #expect(state.bodyReceived(600) == .discard)
        #expect(state.bodyReceived(399) == .discard)
        #expect(state.bodyReceived(1) == .close)
        #expect(state.bodyReceived(1) == .discard)
    }

    @Test func endAfterResponseClosesTheConnection() {
        var state = state()
        receive(&state, at: 1)
        state.endAfterResponse()
        #expect(state.responseBegins(at: at(1)) == .passAsLast)
        #expect(state.responseEnded(at: at(1)) == .close)
    }

    // MARK: What can't be read

    @Test func unreadableRequestIsAnswered() {
        var idle = state()
        #expect(idle.unreadable(at: at(1)) == .tell)
        var inBody = state()
        _ = inBody.headReceived(at: at(1))
        #expect(inBody.unreadable(at: at(1)) == .tell)
        #expect(inBody.responseBegins(at: at(1)) == .drop)
    }

    @Test func completeRequestIsAnsweredBeforeUnreadableInput() {
        var state = state()
        receive(&state, at: 1)
        #expect(state.unreadable(at: at(1)) == .wait)
        #expect(state.responseBegins(at: at(1)) == .passAsLast)
        #expect(state.responseEnded(at: at(1)) == .close)
    }

    @Test func unreadableInputDuringAResponseClosesTheConnection() {
        var state = state()
        _ = state.headReceived(at: at(1))
        _ = state.responseBegins(at: at(1))
        #expect(state.unreadable(at: at(1)) == .close)
        #expect(!state.isResponding)
    }

    // MARK: Time

    @Test func theFirstRequestHasAMinute() {
        var state = state()
        #expect(state.expired(at: at(59)) == nil)
        #expect(state.expired(at: at(60)) == .idle)
    }

    @Test func anIdleConnectionHasSeventyFiveSeconds() {
        var state = state()
        receive(&state, at: 10)
        #expect(state.deadline == nil)
        _ = respond(&state, at: 20)
        #expect(state.expired(at: at(94)) == nil)
        #expect(state.expired(at: at(95)) == .idle)
    }

    /// The time limit of a body grows with the number of octets that come, not with the number of reads.
    @Test(
        arguments: [
            // Octets per second, seconds, whether the body is too slow by then.
            (1, 59, false), (1, 60, true), (499, 60, false), (499, 60 * 600, true), (500, 60 * 600, false),
        ] as [(Int, Int64, Bool)])
    func aBodyHasAMinuteAndASecondForEach500Octets(octets: Int, seconds: Int64, isTooSlow: Bool) {
        var state = state()
        _ = state.headReceived(at: start)
        var expiry: HTTPConnectionState.Expiry?
        for second in 1...seconds where expiry == nil {
            _ = state.bodyReceived(octets)
            expiry = state.expired(at: at(second))
        }
        #expect((expiry == .body) == isTooSlow)
    }

    @Test func noTimeoutWhileTheRelayIsNotReading() {
        var state = state()
        _ = state.headReceived(at: start)
        state.reading(false, at: at(10))
        #expect(state.deadline == nil)
        #expect(state.expired(at: at(1000)) == nil)
        state.reading(true, at: at(1000))
        #expect(state.expired(at: at(1049)) == nil)
        #expect(state.expired(at: at(1050)) == .body)
        #expect(state.isLingering)
    }

    @Test func responseTimeoutRestartsWithEachPieceTaken() {
        var state = state()
        receive(&state, at: 1)
        #expect(state.deadline == nil)
        _ = state.responseBegins(at: at(100))
        #expect(state.expired(at: at(159)) == nil)
        state.responseTaken(at: at(159))
        #expect(state.expired(at: at(218)) == nil)
        #expect(state.expired(at: at(219)) == .response)
        #expect(state.responseEnded(at: at(220)) == .close)
    }

    @Test func lingeringEnds() {
        var state = state()
        _ = state.headReceived(at: at(1))
        _ = respond(&state, at: 2)
        #expect(state.expired(at: at(6)) == nil)
        #expect(state.expired(at: at(7)) == .linger)
    }
}
