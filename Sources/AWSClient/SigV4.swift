import Hashing
import RelayCore

/// AWS Signature Version 4: what proves that a request comes from the holder of the credentials and was not changed.
///
/// A function of its arguments alone. The steps and their names are those of AWS's reference ("Create a signed AWS API
/// request"): canonical request, string to sign, signing key, signature.
package enum SigV4 {
    package struct Request {
        var method: String
        /// As the Host field has it: with the port when it is not the scheme's own.
        var host: String
        /// As it stands in the request line, that is with its segments percent-encoded once.
        package var path: String
        /// Other header fields that are to be signed.
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

    /// The header fields to add to `request`: the date, the session token if there is one, and the signature.
    package static func headers(
        signing request: Request, with credentials: AWSCredentials, region: String, service: String,
        at time: Timestamp
    ) -> [(name: String, value: String)] {
        let moment = timestamp(time)
        let day = String(moment.prefix(8))
        var added = [(name: "X-Amz-Date", value: moment)]
        if let token = credentials.sessionToken { added.append((name: "X-Amz-Security-Token", value: token)) }

        let signed = canonicalHeaders(request.headers + added + [(name: "Host", value: request.host)])
        let names = signed.map(\.name).joined(separator: ";")
        let canonicalRequest = [
            request.method, canonicalPath(request.path), "",
            signed.map { "\($0.name):\($0.value)\n" }.joined(), names, request.payloadHash,
        ].joined(separator: "\n")

        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let stringToSign =
            "AWS4-HMAC-SHA256\n\(moment)\n\(scope)\n\(SHA256.digest(of: canonicalRequest.utf8).hexadecimal)"
        let key = signingKey(credentials.secretAccessKey, day: day, region: region, service: service)
        let signature = HMACSHA256.code(for: stringToSign.utf8, key: key).hexadecimal
        let authorization =
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
        return added + [(name: "Authorization", value: authorization)]
    }

    /// `20261124T143317Z`.
    static func timestamp(_ time: Timestamp) -> String {
        time.rfc3339.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    /// Names in lower case and sorted; values without blanks around them and with single ones within.
    private static func canonicalHeaders(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)]
    {
        headers.map { field in
            let words = field.value.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return (name: field.name.lowercased(), value: words.joined(separator: " "))
        }.sorted { $0.name < $1.name }
    }

    /// Every service but S3 wants the path percent-encoded once more than the request line has it.
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

    private static func signingKey(_ secret: String, day: String, region: String, service: String) -> [UInt8] {
        [day, region, service, "aws4_request"].reduce(Array("AWS4\(secret)".utf8)) { key, part in
            HMACSHA256.code(for: part.utf8, key: key)
        }
    }
}
