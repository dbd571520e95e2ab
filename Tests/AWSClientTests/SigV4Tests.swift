import AWSTestSupport
import Foundation
import Hashing
import RelayCore
import Testing

@testable import AWSClient

@Suite struct SigV4Tests {
    /// AWS's own test suite for signature version 4, `get-vanilla`.
    @Test func agreesWithAWSsTestSuite() throws {
        let request = SigV4.Request(
            method: "GET", host: "example.amazonaws.com", path: "/",
            payloadHash: SHA256.digest(of: []).hexadecimal)
        let time = try #require(Timestamp(iso8601: "2015-08-30T12:36:00Z"))
        let headers = SigV4.headers(
            signing: request, with: try .example(), region: "us-east-1", service: "service", at: time)
        #expect(headers.map(\.name) == ["X-Amz-Date", "Authorization"])
        #expect(headers[0].value == "20150830T123600Z")
        #expect(
            headers[1].value
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        )
    }

    private struct Case: Codable {
        var method: String
        var url: String
        var headers: [[String]]
        var payload: String
        var token: String?
        var region: String
    }

    private static let cases = [
        Case(
            method: "POST", url: "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
            headers: [["Content-Type", "application/json"]], payload: #"{"Content":{"Raw":{"Data":"aGk="}}}"#,
            region: "eu-west-1"),
        Case(
            method: "POST", url: "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails",
            headers: [["Content-Type", "application/json"]], payload: #"{"Data":"Grüße, 世界 \u0001"}"#,
            token: "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ==", region: "us-east-1"),
        Case(
            method: "GET", url: "https://email.eu-central-1.amazonaws.com/v2/email/account", headers: [], payload: "",
            token: "short+/=token", region: "eu-central-1"),
        Case(
            method: "POST", url: "http://127.0.0.1:5000/stand%20in/v2/email/outbound-emails",
            headers: [["Content-Type", "  application/json;   charset=utf-8 "], ["X-Test", "a\t b"]], payload: "ä",
            region: "ap-southeast-2"),
    ]

    /// Compares with the signatures that the AWS SDK for Python makes for the same requests.
    @Test func agreesWithBotocore() async throws {
        let script = """
            import json, sys
            from botocore.auth import SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.credentials import Credentials
            answers = []
            for case in json.load(sys.stdin):
                request = AWSRequest(case["method"], case["url"], dict(case["headers"]), case["payload"].encode())
                request.context["timestamp"] = "20261124T143317Z"
                credentials = Credentials(
                    "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", case.get("token"))
                auth = SigV4Auth(credentials, "ses", case["region"])
                auth._modify_request_before_signing(request)
                text = auth.string_to_sign(request, auth.canonical_request(request))
                auth._inject_signature_to_request(request, auth.signature(text, request))
                answers.append(dict(request.headers))
            print(json.dumps(answers))
            """
        let input = try JSONEncoder().encode(SigV4Tests.cases)
        guard let output = try? await Python.run(script, input: input) else {
            Issue.record("this test needs the AWS SDK for Python: python3 -m pip install botocore")
            return
        }
        let answers = try JSONDecoder().decode([[String: String]].self, from: output)
        try #require(answers.count == SigV4Tests.cases.count)
        for (item, expected) in zip(SigV4Tests.cases, answers) {
            let headers = try sign(item)
            for name in ["X-Amz-Date", "X-Amz-Security-Token", "Authorization"] {
                #expect(headers.first { $0.name == name }?.value == expected[name], "\(name) for \(item.url)")
            }
        }
    }

    private func sign(_ item: Case) throws -> [(name: String, value: String)] {
        let url = try #require(URLComponents(string: item.url))
        let host = try #require(url.host)
        let request = SigV4.Request(
            method: item.method, host: url.port.map { "\(host):\($0)" } ?? host, path: url.percentEncodedPath,
            headers: item.headers.map { (name: $0[0], value: $0[1]) },
            payloadHash: SHA256.digest(of: Array(item.payload.utf8)).hexadecimal)
        return SigV4.headers(
            signing: request, with: try .example(token: item.token), region: item.region, service: "ses",
            at: try #require(Timestamp(iso8601: "2026-11-24T14:33:17.042Z")))
    }

    @Test func writesHexadecimalInLowerCase() {
        #expect([UInt8]([0, 9, 10, 0xAB, 0xFF]).hexadecimal == "00090aabff")
    }
}
