import AWSClient
import RelayCore

/// A queue of SQS and where it is spoken to.
public struct SQSQueue: Sendable {
    public let url: String
    public let region: String
    let endpoint: AWSEndpoint

    /// - Parameters:
    ///   - url: as SQS tells it: `https://sqs.eu-west-1.amazonaws.com/123456789012/name`.
    ///   - endpoint: `https://` or `http://` with a host, for another place than the queue URL's: a VPC endpoint, or a simulator.
    /// - Throws: why not, in words that complete the name of what is wrong.
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

/// Why there can be no such queue.
public enum SQSQueueError: Error, Hashable, Sendable, CustomStringConvertible {
    case url(String)
    case endpoint(String)

    public var description: String {
        switch self {
        case .url(let why):
            "feedback.queue_url \(why): it is like 'https://sqs.eu-west-1.amazonaws.com/123456789012/name'"
        case .endpoint(let why):
            "feedback.endpoint \(why): it is like 'https://vpce-0123456789abcdef0.sqs.eu-west-1.vpce.amazonaws.com'"
        }
    }
}
