import Hashing
import NIOHTTP1
import RelayCore

extension HTTPRequest {
    /// A request to a service of AWS, signed.
    ///
    /// - Parameters:
    ///   - fields: header fields beside Host and those of the signature; all are signed.
    ///   - payloadHash: SHA-256 of the body in lower-case hexadecimal.
    package init(
        _ method: HTTPMethod, _ path: String, at endpoint: AWSEndpoint, fields: [(name: String, value: String)] = [],
        payloadHash: String, with credentials: AWSCredentials, region: String, service: String, time: Timestamp
    ) {
        let signed = SigV4.Request(
            method: method.rawValue, host: endpoint.host, path: endpoint.path + path, headers: fields,
            payloadHash: payloadHash)
        self.init(url: endpoint.origin + signed.path)
        self.method = method
        headers.add(name: "Host", value: endpoint.host)
        headers.add(name: "User-Agent", value: "hiveku-relay")
        headers.add(contentsOf: fields)
        headers.add(
            contentsOf: SigV4.headers(signing: signed, with: credentials, region: region, service: service, at: time))
    }
}

extension SigV4 {
    package static func hash(of body: some Sequence<UInt8>) -> String { SHA256.digest(of: body).hexadecimal }
}

extension CredentialsProvider {
    /// Makes a call, and once again when AWS refused the credentials and their source has others by now: keys that were
    /// rotated must hold nothing up.
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
