import HTTPTypes
import Listening
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import StrictJSON
import TestSupport
import Testing

@testable import HTTPServer

@Suite struct RequestGuardTests {
    @Test func aBodyThatComesTooSlowlyIsAnsweredAndTheConnectionCloses() throws {
        // The time limits are zero, so the body is too slow as soon as the event loop checks it.
        var timeouts = HTTPTimeouts()
        timeouts.body = .zero
        timeouts.linger = .zero
        var expired: [HTTPConnectionState.Expiry] = []
        let channel = EmbeddedChannel(
            handler: RequestGuard(
                timeouts, shutdown: ShutdownNotice(), clock: ManualClock(), connectedAt: .now(),
                tell: { if case .timedOut(let expiry) = $0 { expired.append(expiry) } }))
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        try channel.writeInbound(
            HTTPRequestPart.head(HTTPRequest(method: .post, scheme: "http", authority: "relay", path: "/")))
        channel.read()
        // The server is told that the rest of the request will not come.
        #expect(throws: RequestCutOff.self) {
            channel.embeddedEventLoop.advanceTime(to: .now())
            try channel.throwIfErrorCaught()
        }
        #expect(expired.first == .body)
        guard case .head(let head) = try channel.readOutbound(as: HTTPResponsePart.self),
            case .body(let body) = try channel.readOutbound(as: HTTPResponsePart.self)
        else {
            Issue.record("there is no response")
            return
        }
        #expect(head.status == .requestTimeout)
        #expect(head.headerFields[.connection] == "close")
        #expect(try JSON(reading: Array(body.readableBytesView)) == JSON(Problem.tooSlow(timeouts)))
        channel.embeddedEventLoop.advanceTime(to: .now())
        #expect(!channel.isActive)
    }
}
