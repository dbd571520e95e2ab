import Hashing
import RelayCore

/// AWS Signature Version 4. It proves that a request comes from the holder of the credentials and was not changed.
///
/// It depends only on its arguments. The steps have the names of AWS's reference ("Create a signed AWS API request"):
/// canonical request, string to sign, signing key, signature.
package enum SigV4 {
    /// The parts of a request that the signature covers.
    package struct Request {
        var method: String
        /// The value of the Host field: with the port unless it is the scheme's default.
        var host: String
        /// The path as in the request line, with its segments percent-encoded once.
        package var path: String
        /// The header fields other than Host that must be signed.
        package var headers: [(name: String, value: String)] = []
        /// SHA-256 of the body in lower-case hexadecimal.
        var payloadHash: String

        package init(
            method: String, host: String, path: String, headers: [(name: String, value: String)] = [],
            payloadHash: String
        ) {
            self.method = method
            self.host = host
            self.path = path
            self.headers = headers
            self.payloadHash = payloadHash
        }
    }

    /// Returns the header fields to add to `request`: the date, the session token if there is one, and the signature.
    package static func headers(
        signing request: Request, with credentials: AWSCredentials, region: String, service: String,
        at time: Timestamp
    ) -> [(name: String, value: String)] {
        let moment = timestamp(time)
        return Template(request, region: region, service: service).headers(
            payloadHash: request.payloadHash, at: moment, with: credentials,
            key: SigningKey(of: credentials, day: moment.prefix(8), region: region, service: service))
    }

    /// The key that signs all requests of one day. It is as secret as the credentials, so it has no description.
    struct SigningKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
        fileprivate let octets: [UInt8]

        init(of credentials: AWSCredentials, day: some StringProtocol, region: String, service: String) {
            octets = [String(day), region, service, "aws4_request"].reduce(
                Array("AWS4\(credentials.secretAccessKey)".utf8)
            ) { key, part in HMACSHA256.code(for: part.utf8, key: key) }
        }

        var description: String { "SigningKey(withheld)" }
        var debugDescription: String { description }
        var customMirror: Mirror { Mirror(self, children: []) }
    }

    /// The parts of the canonical request that requests of one kind have in common. Only the date, the session token
    /// and the body's hash differ.
    struct Template: Sendable {
        /// The method, the path, the query, and the fields before X-Amz-Date.
        private let beginning: [UInt8]
        /// The fields between X-Amz-Date and X-Amz-Security-Token, and the fields after that.
        private let between: [UInt8], rest: [UInt8]
        /// The names of all signed fields, without and with a session token.
        private let names: String, namesWithToken: String
        private let region: String, service: String

        private static let date = "x-amz-date", token = "x-amz-security-token"

        /// Makes the template of `request`. The payload hash of `request` is ignored.
        init(_ request: Request, region: String, service: String) {
            self.region = region
            self.service = service
            let fields = SigV4.canonicalHeaders(request.headers + [(name: "Host", value: request.host)])
            let lines = { (isWanted: (String) -> Bool) in
                fields.filter { isWanted($0.name) }.flatMap { Array("\($0.name):\($0.value)\n".utf8) }
            }
            beginning =
                Array("\(request.method)\n\(SigV4.canonicalPath(request.path))\n\n".utf8)
                + lines { $0 < Template.date }
            between = lines { Template.date < $0 && $0 < Template.token }
            rest = lines { Template.token < $0 }
            let own = fields.map(\.name) + [Template.date]
            names = own.sorted().joined(separator: ";")
            namesWithToken = (own + [Template.token]).sorted().joined(separator: ";")
        }

        /// - Parameter moment: in the form of ``SigV4/timestamp(_:)``.
        func headers(
            payloadHash: String, at moment: String, with credentials: AWSCredentials, key: SigningKey
        ) -> [(name: String, value: String)] {
            let names = credentials.sessionToken == nil ? names : namesWithToken
            var octets: [UInt8] = []
            octets.reserveCapacity(1024 + (credentials.sessionToken?.utf8.count ?? 0))
            octets += beginning
            octets += "x-amz-date:".utf8
            octets += moment.utf8
            octets.append(UInt8(ascii: "\n"))
            octets += between
            if let token = credentials.sessionToken {
                octets += "x-amz-security-token:".utf8
                octets += token.utf8
                octets.append(UInt8(ascii: "\n"))
            }
            octets += rest
            octets.append(UInt8(ascii: "\n"))
            octets += names.utf8
            octets.append(UInt8(ascii: "\n"))
            octets += payloadHash.utf8
            let hash = SHA256.digest(of: octets).hexadecimal

            let scope = "\(moment.prefix(8))/\(region)/\(service)/aws4_request"
            octets.removeAll(keepingCapacity: true)
            octets += "AWS4-HMAC-SHA256\n".utf8
            octets += moment.utf8
            octets.append(UInt8(ascii: "\n"))
            octets += scope.utf8
            octets.append(UInt8(ascii: "\n"))
            octets += hash.utf8
            let signature = HMACSHA256.code(for: octets, key: key.octets).hexadecimal

            var added = [(name: "X-Amz-Date", value: moment)]
            if let token = credentials.sessionToken { added.append((name: "X-Amz-Security-Token", value: token)) }
            added.append(
                (
                    name: "Authorization",
                    value:
                        "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
                ))
            return added
        }
    }

    /// The time in the form `20261124T143317Z`.
    static func timestamp(_ time: Timestamp) -> String {
        let digits = time.rfc3339.utf8.prefix(19).filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }
        return String(decoding: digits, as: UTF8.self) + "Z"
    }

    /// The fields in canonical form: sorted, names in lower case, values trimmed, with single blanks within.
    private static func canonicalHeaders(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)]
    {
        headers.map { field in
            let words = field.value.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return (name: field.name.lowercased(), value: words.joined(separator: " "))
        }.sorted { $0.name < $1.name }
    }

    /// The path in canonical form. All services except S3 percent-encode it once more than the request line does.
    private static func canonicalPath(_ path: String) -> String {
        path.utf8.reduce(into: "") { result, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result += "%" + CollectionOfOne(byte).hexadecimal.uppercased()
            }
        }
    }
}
