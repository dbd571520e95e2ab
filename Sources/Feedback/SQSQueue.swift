import AWSClient
import RelayCore

/// A queue of SQS, and where requests to it are sent.
public struct SQSQueue: Sendable {
    /// The URL of the queue.
    public let url: String
    /// The AWS region of the queue.
    public let region: String
    let endpoint: AWSEndpoint

    /// - Parameters:
    ///   - url: the URL that SQS shows: `https://sqs.eu-west-1.amazonaws.com/123456789012/name`.
    ///   - endpoint: `https://` or `http://` with a host, to use instead of the queue URL's host: a VPC endpoint or a
    ///     simulator.
    /// - Throws: the reason why such a queue can't exist. The text begins with the name of the wrong setting.
    public init(url: String, region: String, endpoint: String? = nil) throws(SQSQueueError) {
        let place: AWSEndpoint
        do {
            place = try AWSEndpoint(parsing: url)
        } catch {
            throw .url(error.reason)
        }
        guard place.path.split(separator: "/").count >= 2 else { throw .url("names no queue") }
        self.url = url
        self.region = region
        do {
            self.endpoint = try AWSEndpoint(parsing: endpoint ?? place.origin)
        } catch {
            throw .endpoint(error.reason)
        }
    }
}

/// Why such a queue can't exist.
public enum SQSQueueError: Error, Hashable, Sendable, CustomStringConvertible {
    case url(String)
    case endpoint(String)

    public var description: String {
        switch self {
        case .url(let why):
            "feedback.queue_url \(why): write it like 'https://sqs.eu-west-1.amazonaws.com/123456789012/name'"
        case .endpoint(let why):
            "feedback.endpoint \(why): write it like 'https://vpce-0123456789abcdef0.sqs.eu-west-1.vpce.amazonaws.com'"
        }
    }
}
