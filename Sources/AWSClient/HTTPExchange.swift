import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore

/// A whole answer: what the relay asks of AWS is answered in a few hundred bytes.
package struct HTTPAnswer: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)] = []
    package var body: [UInt8] = []

    package func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
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

    package init(url: String) { self.url = url }
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
            let request = try Request(
                url: request.url, method: request.method, headers: request.headers, body: request.body)
            let task = execute(
                request: request, delegate: ResponseAccumulator(request: request, maxBodySize: limit))
            let number = deadlines.begin(within: time) { task.fail(reason: ExchangeFailure.timedOut) }
            defer { deadlines.ended(number) }
            let response = try await withTaskCancellationHandler {
                try await task.get()
            } onCancel: {
                task.cancel()
            }
            return .success(HTTPAnswer(response))
        } catch {
            return .failure(ExchangeFailure(error))
        }
    }
}

extension HTTPAnswer {
    init(_ response: HTTPClient.Response) {
        status = Int(response.status.code)
        headers = response.headers.map { (name: $0.name, value: $0.value) }
        body = response.body.map { Array($0.readableBytesView) } ?? []
    }
}

extension ExchangeFailure {
    init(_ error: any Error) {
        switch error {
        case let failure as ExchangeFailure: self = failure
        case let fault as PayloadFault: self = .body(fault)
        case is CancellationError: self = .cancelled
        case is ResponseAccumulator.ResponseTooBigError: self = .tooLong
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
