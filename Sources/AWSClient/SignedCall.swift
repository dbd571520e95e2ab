import Hashing
import NIOHTTP1
import RelayCore
import Synchronization

extension HTTPRequest {
    /// A signed request to an AWS service.
    ///
    /// - Parameters:
    ///   - fields: header fields in addition to Host and those of the signature. All of them are signed.
    ///   - payloadHash: SHA-256 of the body in lower-case hexadecimal.
    package init(
        _ method: HTTPMethod, _ path: String, at endpoint: AWSEndpoint, fields: [(name: String, value: String)] = [],
        payloadHash: String, with credentials: AWSCredentials, region: String, service: String, time: Timestamp
    ) {
        self = SignedCall(method, path, at: endpoint, fields: fields, region: region, service: service)
            .request(payloadHash: payloadHash, with: credentials, time: time)
    }
}

/// Requests of one kind to an AWS service. Their common parts are computed once: the URL is parsed, and the signing key
/// is derived again only when the day or the credentials change.
package final class SignedCall: Sendable {
    private struct Key {
        var credentials: AWSCredentials
        var day: Substring
        var key: SigV4.SigningKey
    }

    private let region: String, service: String
    private let template: SigV4.Template
    private let unsigned: HTTPRequest
    private let lastKey = Mutex<Key?>(nil)

    /// - Parameter fields: header fields in addition to Host and those of the signature. All of them are signed.
    package init(
        _ method: HTTPMethod, _ path: String, at endpoint: AWSEndpoint, fields: [(name: String, value: String)] = [],
        region: String, service: String
    ) {
        self.region = region
        self.service = service
        let signed = SigV4.Request(
            method: method.rawValue, host: endpoint.host, path: endpoint.path + path, headers: fields, payloadHash: "")
        template = SigV4.Template(signed, region: region, service: service)
        var request = HTTPRequest(url: endpoint.origin + signed.path)
        request.method = method
        request.headers.reserveCapacity(fields.count + 6)
        request.headers.add(name: "Host", value: endpoint.host)
        request.headers.add(name: "User-Agent", value: "hiveku-relay")
        request.headers.add(contentsOf: fields)
        unsigned = request.prepared
    }

    /// - Parameter payloadHash: SHA-256 of the body in lower-case hexadecimal.
    package func request(
        payloadHash: String, with credentials: AWSCredentials, time: Timestamp
    ) -> HTTPRequest {
        let moment = SigV4.timestamp(time)
        let key = signingKey(of: credentials, day: moment.prefix(8))
        var request = unsigned
        request.headers.add(
            contentsOf: template.headers(payloadHash: payloadHash, at: moment, with: credentials, key: key))
        return request
    }

    private func signingKey(of credentials: AWSCredentials, day: Substring) -> SigV4.SigningKey {
        lastKey.withLock { last in
            if let last, last.day == day, last.credentials == credentials { return last.key }
            let key = SigV4.SigningKey(of: credentials, day: day, region: region, service: service)
            last = Key(credentials: credentials, day: day, key: key)
            return key
        }
    }
}

extension SigV4 {
    package static func hash(of body: some Sequence<UInt8>) -> String { SHA256.digest(of: body).hexadecimal }
}

extension CredentialsProvider {
    /// Makes a call. If AWS refuses the credentials and their source has other credentials by now, makes the call once
    /// more with those. So a rotation of keys delays nothing.
    package func signing<Answer: Sendable>(
        _ call: @Sendable (AWSCredentials) async -> Answer, refusesCredentials: (Answer) -> Bool
    ) async throws(CredentialsError) -> Answer {
        let first = try await credentials()
        let answer = await call(first)
        guard refusesCredentials(answer) else { return answer }
        await refused(first)
        guard let second = try? await credentials(), second != first else { return answer }
        return await call(second)
    }
}
