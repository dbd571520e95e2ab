import AWSClient
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore
import Synchronization

/// Reads a response up to the part that is kept, and no further.
final class ResponseExcerpt: HTTPClientResponseDelegate {
    typealias Response = Void

    /// The response is longer than the part that is kept.
    private struct Enough: Error {}

    private struct State {
        var wasSent = false
        var status: Int?
        var retryAfter: String?
        var body: [UInt8] = []
    }

    private let state = Mutex(State())

    /// Whether a part of the request may have reached the receiver.
    var wasSent: Bool { state.withLock { $0.wasSent } }

    /// The result, if the header of the response has arrived. A response whose body is cut off, by length or time,
    /// counts too: the receiver has decided when it sends its status.
    var result: WebhookResult? {
        state.withLock { state in
            state.status.map {
                .answered(status: $0, retryAfter: state.retryAfter, excerpt: ResponseExcerpt.text(state.body))
            }
        }
    }

    /// UTF-8 of at most ``WebhookAttempt/longestResponse`` octets, without control characters.
    static func text(_ octets: [UInt8]) -> String {
        var text = ForeignText.bounded(String(decoding: octets, as: UTF8.self), WebhookAttempt.longestResponse)
        // Octets that are not UTF-8 become longer when they are decoded.
        while text.utf8.count > WebhookAttempt.longestResponse { text.unicodeScalars.removeLast() }
        return text
    }

    func didSendRequestHead(task: HTTPClient.Task<Void>, _ head: HTTPRequestHead) {
        state.withLock { $0.wasSent = true }
    }

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        state.withLock { state in
            state.status = Int(head.status.code)
            state.retryAfter = head.headers.first(name: "Retry-After").map { String($0.prefix(64)) }
        }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        let isEnough = state.withLock { state in
            let room = WebhookAttempt.longestResponse - state.body.count
            state.body += buffer.readableBytesView.prefix(room)
            return buffer.readableBytes > room
        }
        return isEnough ? task.eventLoop.makeFailedFuture(Enough()) : task.eventLoop.makeSucceededVoidFuture()
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) throws {}
}
