import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A service that provides a role's credentials over HTTP, on the machine or beside the container.
struct MetadataService: Sendable {
    let clock: any RelayClock
    var timeout: Duration = .seconds(2)
    var attempts = 3

    static let answerLimit = 64 * 1024

    /// Runs `body` with a new client. Credentials are fetched about once an hour, so no client is kept.
    func withClient(_ body: @Sendable (HTTPClient) async -> SourceAnswer) async -> SourceAnswer {
        let configuration = HTTPClient.Configuration.aws(connectTimeout: timeout, connections: 1)
        do {
            return try await HTTPClient.withHTTPClient(configuration: configuration, body)
        } catch {
            return .failed("the client for the metadata service could not be closed")
        }
    }

    /// Sends the request. If there is no answer, or an answer with 5xx, tries again a little later.
    func ask(_ request: HTTPRequest, with client: HTTPClient) async -> Result<HTTPAnswer, ExchangeFailure> {
        let deadlines = Deadlines(clock: clock)
        var pause = Duration.milliseconds(100)
        for _ in 1..<attempts {
            let result = await client.exchange(
                request, within: timeout, limit: MetadataService.answerLimit, deadlines: deadlines)
            switch result {
            case .success(let answer) where answer.status < 500: return result
            case .failure(.cancelled): return result
            default: break
            }
            guard (try? await clock.sleep(until: clock.now() + pause)) != nil else { return .failure(.cancelled) }
            pause += pause
        }
        return await client.exchange(request, within: timeout, limit: MetadataService.answerLimit, deadlines: deadlines)
    }
}

extension ExchangeFailure {
    /// The rest of a sentence that begins with the service's name.
    package var predicate: String {
        switch self {
        case .timedOut: "does not answer"
        case .cancelled: "did not answer before the relay stopped waiting"
        case .broken(let why): "can't be reached (\(why))"
        case .body: "could not be sent the request"
        case .tooLong: "gives an answer that is too long"
        }
    }
}

/// The document in which ECS and EC2 provide credentials.
struct CredentialsDocument: Decodable {
    var accessKeyID: String
    var secretAccessKey: String
    var token: String?
    var expiration: String?
    /// Only from EC2: `Success`, or the reason of a failure.
    var code: String?

    enum CodingKeys: String, CodingKey {
        case accessKeyID = "AccessKeyId"
        case secretAccessKey = "SecretAccessKey"
        case token = "Token"
        case expiration = "Expiration"
        case code = "Code"
    }

    /// `service` is the service's name in the texts.
    static func answer(_ body: [UInt8], from service: String) -> SourceAnswer {
        guard let document = try? JSONDecoder().decode(CredentialsDocument.self, from: Data(body)) else {
            return .failed("\(service) answers, but not with credentials")
        }
        if let code = document.code, code != "Success" {
            return .failed("\(service) has no credentials: \(ForeignText.bounded(code, 100))")
        }
        var expiresAt: Timestamp?
        if let expiration = document.expiration {
            guard let time = Timestamp(iso8601: expiration) else {
                return .failed("\(service) gives credentials whose expiry is not a valid time")
            }
            expiresAt = time
        }
        guard
            let credentials = AWSCredentials(
                accessKeyID: document.accessKeyID, secretAccessKey: document.secretAccessKey,
                sessionToken: document.token, expiresAt: expiresAt)
        else { return .failed("\(service) gives credentials that contain invalid characters") }
        return .found(credentials)
    }
}

extension Timestamp {
    /// Reads `2026-11-24T14:33:17Z`, with or without a fraction of a second.
    init?(iso8601 text: String) {
        let whole = Date.ISO8601FormatStyle()
        let fractional = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        guard let date = (try? whole.parse(text)) ?? (try? fractional.parse(text)) else { return nil }
        self.init(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
    }
}
