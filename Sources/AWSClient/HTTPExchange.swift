import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore
import Synchronization

/// A whole answer: what the relay asks of AWS is answered in a few hundred bytes.
package struct HTTPAnswer: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)] = []
    package var body: [UInt8] = []

    /// - Parameter name: in lower case.
    package func header(_ name: String) -> String? { headers.first { $0.name.isLowercased(name) }?.value }
}

extension String {
    /// Whether it is `name` but for the case of ASCII letters.
    fileprivate func isLowercased(_ name: String) -> Bool {
        utf8.count == name.utf8.count
            && utf8.elementsEqual(name.utf8) { $0 == $1 || (0x41...0x5A ~= $0 && $0 | 0x20 == $1) }
    }
}

/// Why the body of a request could not be produced. Nothing can have been sent by it.
package enum PayloadFault: Error, Sendable, Equatable {
    /// Where it is kept could not give it.
    case unreadable(String)
    /// It has another length than it is said to have.
    case wrongSize
}

/// Why there is no answer.
package enum ExchangeFailure: Error, Sendable, Equatable {
    case timedOut
    /// The task was cancelled.
    case cancelled
    /// The connection failed or broke. The words hold no header field.
    case broken(String)
    /// The request's own body could not be read.
    case body(PayloadFault)
    /// The answer is longer than what is read of one.
    case tooLong
}

/// What is to be asked.
package struct HTTPRequest: Sendable {
    package var url: String
    package var method = HTTPMethod.GET
    package var headers = HTTPHeaders()
    package var body: HTTPClient.Body?
    /// With the URL parsed already, without header fields and body.
    private var parsed: HTTPClient.Request?

    package init(url: String) { self.url = url }

    /// The same, with its URL parsed for all that are made from it. Where that fails, it fails again when the request is sent.
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
    /// Sends `request` and reads the answer to its end, at most `limit` bytes, within `time` altogether.
    ///
    /// Through AsyncHTTPClient's futures: its asynchronous functions go from the event loop to a task and back for the
    /// request's body, and again for the answer's head and body, which took longer than SES's answer does at its best.
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

/// Reads one answer. AsyncHTTPClient's own reader also keeps the request, and copies the answer once more.
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
        // The full description of some of these errors repeats header fields.
        case let error as HTTPClientError: self = .broken(Words.bounded(error.shortDescription, 200))
        default:
            let description = Words.connectionFailure(error) ?? String(describing: error)
            if let reason = Words.tlsReason(in: description) {
                self = .broken("TLS failed: \(reason)")
            } else {
                self = .broken(Words.bounded(description, 200))
            }
        }
    }
}

extension HTTPClient.Configuration {
    /// What all requests to AWS have in common: no redirects, HTTP/1.1, one attempt at a connection.
    package static func aws(connectTimeout: Duration, connections: Int) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: Timeout(connect: .milliseconds(connectTimeout.wholeMilliseconds)))
        configuration.httpVersion = .http1Only
        // Nobody looks at spans.
        configuration.tracing.tracer = nil
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        // Below what load balancers allow an idle connection, so that few requests meet one that is being closed.
        configuration.connectionPool.idleTimeout = .seconds(20)
        // The worker has its own way of trying again.
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }
}
