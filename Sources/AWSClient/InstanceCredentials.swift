import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RelayCore

/// The role of the EC2 instance, from version 2 of its metadata service. That version requires a session token first,
/// so a request that another program was tricked into sending gets nothing.
struct InstanceCredentials: CredentialsSource {
    let environment: [String: String]
    let service: MetadataService

    let name = "EC2 instance metadata"

    private static let rolePath = "/latest/meta-data/iam/security-credentials/"

    func load() async -> SourceAnswer {
        guard environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() != "true" else {
            return .absent("the EC2 metadata service is switched off by AWS_EC2_METADATA_DISABLED")
        }
        let base = endpoint
        return await service.withClient { client in
            let session: String
            switch await text(.PUT, base + "/latest/api/token", ("X-aws-ec2-metadata-token-ttl-seconds", "300"), client)
            {
            case .success(let token): session = token
            case .failure(let error): return .absent(error.explanation)
            }
            let header = ("X-aws-ec2-metadata-token", session)
            let role: String
            switch await text(.GET, base + InstanceCredentials.rolePath, header, client) {
            case .success(let names): role = String(names.prefix { !$0.isNewline })
            case .failure(let error): return .absent(error.explanation)
            }
            guard InstanceCredentials.isRoleName(role) else {
                return .absent("the EC2 metadata service names no role; attach one to the instance")
            }
            switch await text(.GET, base + InstanceCredentials.rolePath + role, header, client) {
            case .success(let document):
                return CredentialsDocument.answer(Array(document.utf8), from: "the EC2 metadata service")
            case .failure(let error): return .failed(error.explanation)
            }
        }
    }

    private var endpoint: String {
        if let given = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"], !given.isEmpty {
            return given.hasSuffix("/") ? String(given.dropLast()) : given
        }
        let isIPv6 = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased() == "ipv6"
        return isIPv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254"
    }

    private func text(
        _ method: HTTPMethod, _ url: String, _ header: (name: String, value: String), _ client: HTTPClient
    ) async -> Result<String, CredentialsError> {
        var request = HTTPRequest(url: url)
        request.method = method
        request.headers.add(name: header.name, value: header.value)
        switch await service.ask(request, with: client) {
        case .success(let answer) where answer.status == 200:
            return .success(String(decoding: answer.body, as: UTF8.self))
        case .success(let answer) where answer.status == 404 && url.hasSuffix(InstanceCredentials.rolePath):
            return .failure(CredentialsError("the EC2 instance has no role; attach one"))
        case .success(let answer):
            return .failure(CredentialsError("the EC2 metadata service answers with HTTP status \(answer.status)"))
        case .failure(let failure):
            return .failure(CredentialsError("the EC2 metadata service \(failure.predicate)"))
        }
    }

    /// Whether IAM allows this name. The name becomes part of a path.
    private static func isRoleName(_ name: String) -> Bool {
        1...128 ~= name.utf8.count
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "+=,.@_-".utf8.contains(byte)
                }
            }
    }
}
