import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore
import Synchronization

/// A whole answer. The answers of AWS to the relay's requests have a few hundred bytes.
package struct HTTPAnswer: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)] = []
    package var body: [UInt8] = []

    /// - Parameter name: in lower case.
    package func header(_ name: String) -> String? { headers.first { $0.name.isLowercased(name) }?.value }
}

extension String {
    /// Whether the name equals `name`, apart from the case of ASCII letters.
    fileprivate func isLowercased(_ name: String) -> Bool {
        utf8.count == name.utf8.count
            && utf8.elementsEqual(name.utf8) { $0 == $1 || (0x41...0x5A ~= $0 && $0 | 0x20 == $1) }
    }
}

/// Why the body of a request could not be produced. The server can't have received the whole request.
package enum PayloadFault: Error, Sendable, Equatable {
    /// The body could not be read from where it is stored.
    case unreadable(String)
    /// The length of the body differs from its recorded length.
    case wrongSize
}

/// Why there is no answer.
package enum ExchangeFailure: Error, Sendable, Equatable {
    case timedOut
    /// The task was cancelled.
    case cancelled
    /// The connection failed or was lost. The text contains no header field.
    case broken(String)
    /// The request's own body could not be read.
    case body(PayloadFault)
    /// The answer is longer than the limit.
    case tooLong
}

/// A request to an AWS service.
package struct HTTPRequest: Sendable {
    package var url: String
    package var method = HTTPMethod.GET
    package var headers = HTTPHeaders()
    package var body: HTTPClient.Body?
    /// The request with its URL parsed, without header fields and body.
    private var parsed: HTTPClient.Request?

    package init(url: String) { self.url = url }

    /// The same request with its URL parsed, for all requests that are made from it. If parsing fails, it fails again
    /// when the request is sent.
    var prepared: HTTPRequest {
        var request = self
        request.parsed = try? HTTPClient.Request(url: url, method: method)
        return request
    }

    fileprivate func whole() throws -> HTTPClient.Request {
        var request = try parsed ?? HTTPClient.Request(url: url, method: method)
        request.headers = headers
        request.body = body
        return request
    }
}

extension HTTPClient {
    /// Sends `request` and reads the whole answer, at most `limit` bytes, within `time` altogether.
    ///
    /// It uses AsyncHTTPClient's futures. AsyncHTTPClient's asynchronous functions switch from the event loop to a task
    /// and back for the request's body, and again for the answer's head and body. That took longer than SES's fastest
    /// answers.
    package func exchange(
        _ request: HTTPRequest, within time: Duration, limit: Int, deadlines: Deadlines
    ) async -> Result<HTTPAnswer, ExchangeFailure> {
        do {
            let task = execute(request: try request.whole(), delegate: AnswerReader(limit: limit))
            let number = deadlines.begin(within: time) { task.fail(reason: ExchangeFailure.timedOut) }
            defer { deadlines.ended(number) }
            let answer = try await withTaskCancellationHandler {
                try await task.get()
            } onCancel: {
                task.cancel()
            }
            return .success(answer)
        } catch {
            return .failure(ExchangeFailure(error))
        }
    }
}

/// Reads one answer. AsyncHTTPClient's own reader also keeps the request and makes another copy of the answer.
private final class AnswerReader: HTTPClientResponseDelegate {
    private let limit: Int
    private let answer = Mutex(HTTPAnswer(status: 0))

    init(limit: Int) { self.limit = limit }

    func didReceiveHead(task: HTTPClient.Task<HTTPAnswer>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        if let length = head.headers.first(name: "Content-Length").flatMap({ Int($0) }), length > limit {
            return task.eventLoop.makeFailedFuture(ExchangeFailure.tooLong)
        }
        answer.withLock {
            $0.status = Int(head.status.code)
            $0.headers = head.headers.map { (name: $0.name, value: $0.value) }
        }
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<HTTPAnswer>, _ part: ByteBuffer) -> EventLoopFuture<Void> {
        let isTooLong = answer.withLock { answer in
            guard answer.body.count + part.readableBytes <= limit else { return true }
            answer.body += part.readableBytesView
            return false
        }
        return isTooLong
            ? task.eventLoop.makeFailedFuture(ExchangeFailure.tooLong) : task.eventLoop.makeSucceededVoidFuture()
    }

    func didFinishRequest(task: HTTPClient.Task<HTTPAnswer>) -> HTTPAnswer { answer.withLock { $0 } }
}

extension ExchangeFailure {
    init(_ error: any Error) {
        switch error {
        case let failure as ExchangeFailure: self = failure
        case let fault as PayloadFault: self = .body(fault)
        case is CancellationError: self = .cancelled
        case let error as HTTPClientError where error == .cancelled: self = .cancelled
        // The full description of some of these errors includes header fields.
        case let error as HTTPClientError: self = .broken(ForeignText.bounded(error.shortDescription, 200))
        default:
            let description = ForeignText.connectionFailure(error) ?? String(describing: error)
            if let reason = ForeignText.tlsReason(in: description) {
                self = .broken("TLS failed: \(reason)")
            } else {
                self = .broken(ForeignText.bounded(description, 200))
            }
        }
    }
}

extension HTTPClient.Configuration {
    /// The settings for all requests to AWS: no redirects, HTTP/1.1, one attempt to connect.
    package static func aws(connectTimeout: Duration, connections: Int) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: Timeout(connect: .milliseconds(connectTimeout.wholeMilliseconds)))
        configuration.httpVersion = .http1Only
        // Tracing is not used.
        configuration.tracing.tracer = nil
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        // This is shorter than the idle time that load balancers allow, so few requests meet a connection that is being
        // closed.
        configuration.connectionPool.idleTimeout = .seconds(20)
        // The worker has its own retries.
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }
}
