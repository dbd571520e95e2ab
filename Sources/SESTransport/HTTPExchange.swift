import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore

/// A whole answer: what the relay asks of AWS is answered in a few hundred bytes.
struct HTTPAnswer: Sendable {
    var status: Int
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

/// Why there is no answer.
enum ExchangeFailure: Error, Sendable, Equatable {
    case timedOut
    /// The task was cancelled.
    case cancelled
    /// The connection failed or broke. The words hold no header field.
    case broken(String)
    /// The request's own body could not be read.
    case body(PayloadFault)
}

extension HTTPClient {
    /// Sends `request` and reads the answer to its end, at most `limit` bytes, within `time` altogether.
    ///
    /// AsyncHTTPClient's own deadline ends with the head of the answer; this one covers the body too.
    func exchange(
        _ request: HTTPClientRequest, within time: Duration, limit: Int, clock: any RelayClock
    ) async -> Result<HTTPAnswer, ExchangeFailure> {
        let deadline = clock.now() + time
        return await withTaskGroup(of: Result<HTTPAnswer, ExchangeFailure>.self) { group in
            group.addTask { await self.answer(to: request, limit: limit) }
            group.addTask {
                let isOver = (try? await clock.sleep(until: deadline)) != nil
                return .failure(isOver ? .timedOut : .cancelled)
            }
            var result = await group.next() ?? .failure(.cancelled)
            group.cancelAll()
            // An answer that came in just before the end counts: without it a message that was taken is sent twice.
            for await other in group {
                if case .success = other { result = other }
            }
            return result
        }
    }

    private func answer(to request: HTTPClientRequest, limit: Int) async -> Result<HTTPAnswer, ExchangeFailure> {
        do {
            let response = try await execute(request, deadline: .distantFuture)
            let body = try await response.body.collect(upTo: limit)
            return .success(
                HTTPAnswer(
                    status: Int(response.status.code),
                    headers: response.headers.map { (name: $0.name, value: $0.value) },
                    body: Array(body.readableBytesView)))
        } catch let fault as PayloadFault {
            return .failure(.body(fault))
        } catch is CancellationError {
            return .failure(.cancelled)
        } catch let error as HTTPClientError {
            // The full description of some of these errors repeats header fields.
            return .failure(.broken(Words.bounded(error.shortDescription, 200)))
        } catch {
            let description = String(describing: error)
            if let reason = Words.tlsReason(in: description) { return .failure(.broken("TLS failed: \(reason)")) }
            return .failure(.broken(Words.bounded(description, 200)))
        }
    }
}

extension HTTPClient.Configuration {
    /// What all requests to AWS have in common: no redirects, HTTP/1.1, one attempt at a connection.
    static func aws(connectTimeout: Duration, connections: Int) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: Timeout(connect: .milliseconds(connectTimeout.wholeMilliseconds)))
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        // Below what load balancers allow an idle connection, so that few requests meet one that is being closed.
        configuration.connectionPool.idleTimeout = .seconds(20)
        // The worker has its own way of trying again.
        configuration.connectionPool.retryConnectionEstablishment = false
        return configuration
    }
}
