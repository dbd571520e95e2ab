import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The credentials endpoint of ECS and EKS. The container's environment names it.
struct ContainerCredentials: CredentialsSource {
    let environment: [String: String]
    let service: MetadataService
    /// The base of a relative URI: the agent of ECS.
    var relativeBase = "http://169.254.170.2"

    let name = "container credentials endpoint"

    func load() async -> SourceAnswer {
        let url: String
        switch endpoint() {
        case .success(let found?): url = found
        case .success(nil):
            return .absent("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not in the environment")
        case .failure(let error): return .failed(error.explanation)
        }
        var request = HTTPRequest(url: url)
        request.headers.add(name: "Accept", value: "application/json")
        switch authorization() {
        case .success(let token?): request.headers.add(name: "Authorization", value: token)
        case .success(nil): break
        case .failure(let error): return .failed(error.explanation)
        }
        return await fetch(request)
    }

    private func fetch(_ request: HTTPRequest) async -> SourceAnswer {
        await service.withClient { client in
            switch await service.ask(request, with: client) {
            case .failure(let failure): .failed("the \(name) \(failure.predicate)")
            case .success(let answer) where answer.status == 200:
                CredentialsDocument.answer(answer.body, from: "the \(name)")
            case .success(let answer): .failed("the \(name) answers with HTTP status \(answer.status)")
            }
        }
    }

    /// Returns nil when the environment names no endpoint.
    func endpoint() -> Result<String?, CredentialsError> {
        if let relative = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], !relative.isEmpty {
            // Without the leading slash, the text would extend the host's name.
            guard relative.hasPrefix("/"), URL(string: relativeBase + relative) != nil else {
                return .failure(CredentialsError("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not a path"))
            }
            return .success(relativeBase + relative)
        }
        guard let full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"], !full.isEmpty else { return .success(nil) }
        guard let url = URLComponents(string: full), let host = url.host, !host.isEmpty, url.user == nil else {
            return .failure(CredentialsError("AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL"))
        }
        switch url.scheme?.lowercased() {
        case "https": return .success(full)
        case "http" where ContainerCredentials.isOnThisMachine(host): return .success(full)
        default:
            return .failure(
                CredentialsError(
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http at a loopback address, 169.254.170.2 or 169.254.170.23"
                ))
        }
    }

    /// The token that the endpoint requires. Nil when the environment has none. Its file is read each time, because EKS
    /// replaces it.
    private func authorization() -> Result<String?, CredentialsError> {
        var token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? ""
        if let path = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], !path.isEmpty {
            do {
                let bytes = try SmallFile.contents(of: path, limit: MetadataService.answerLimit)
                token = String(decoding: bytes, as: UTF8.self)
            } catch {
                return .failure(
                    CredentialsError("the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, \(path), \(error)"))
            }
            while token.last?.isWhitespace == true { token.removeLast() }
        }
        guard token.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else {
            return .failure(
                CredentialsError("the container's authorization token contains a character that is not allowed there"))
        }
        return .success(token.isEmpty ? nil : token)
    }

    /// Whether the host is on this machine, so that the token may be sent to it without encryption.
    private static func isOnThisMachine(_ host: String) -> Bool {
        let host = host.lowercased().filter { $0 != "[" && $0 != "]" }
        if ["localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains(host) { return true }
        let octets = host.split(separator: ".", omittingEmptySubsequences: false)
        return octets.count == 4 && octets[0] == "127" && octets.allSatisfy { UInt8($0) != nil }
    }
}
