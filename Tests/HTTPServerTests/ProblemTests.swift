import Foundation
import HTTPTypes
import NIOCore
import RelayCore
import StrictJSON
import Testing

@testable import HTTPServer

@Suite struct ProblemTests {
    private static let readme = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../README.md").standardized

    /// The rows of the README's tables of reasons: the word, and the statuses in the column headed HTTP.
    private func documented() throws -> [String: [Int]] {
        let lines = try String(contentsOf: ProblemTests.readme, encoding: .utf8).split(separator: "\n")
        var column: Int?
        var rows: [String: [Int]] = [:]
        for line in lines {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            if let heading = cells.firstIndex(of: "HTTP") { column = heading }
            guard cells.count > 2 else {
                column = nil
                continue
            }
            guard let column, cells.count > column, cells[1].hasPrefix("`") else { continue }
            rows[cells[1].filter { $0 != "`" }] = cells[column].split(separator: ",").compactMap {
                Int($0.trimmingCharacters(in: .whitespaces))
            }
        }
        return rows
    }

    @Test func everyReasonHasTheStatusThatTheReadmeNames() throws {
        let documented = try documented()
        for reason in RefusalReason.allCases where ![.tlsRequired, .parameter].contains(reason) {
            let wait: Duration? = reason == .rateDay ? .seconds(60) : nil
            let problem = Problem(Refusal(reason, "Why", retryAfter: wait), scope: .send)
            #expect(documented[reason.rawValue]?.first == problem.status.code, "\(reason.rawValue)")
        }
        let never = Problem(Refusal(.rateDay, "It will never fit"), scope: .send)
        #expect(documented["rate-day"]?.last == never.status.code && never.retryAfter == nil)
    }

    @Test(arguments: [
        Problem.notFound, .noSuchMessage, .onItsWay, .tooSlow(HTTPTimeouts()), .mediaType, .contentCoding,
        .method(allowed: "GET"),
    ])
    func everyProblemOfHTTPIsInTheReadme(_ problem: Problem) throws {
        #expect(try documented()[problem.code.word] == [problem.status.code])
    }

    @Test func aProblemIsADocumentOfRFC9457() throws {
        let problem = Problem(
            .refusal(.invalid), .unprocessableContent, "The request has a mistake.",
            mistakes: [.init(detail: "Not this.", pointer: JSONPointer(["to", "0"]))])
        let answer = HTTPAnswer(problem)
        #expect(answer.head.headerFields[.contentType] == "application/problem+json")
        #expect(problem.code.title.contains("valid"))
        let expected: JSON = [
            "type": "urn:hiveku:relay:problem:invalid", "title": JSON(problem.code.title), "status": 422,
            "detail": "The request has a mistake.", "code": "invalid",
            "errors": [["detail": "Not this.", "pointer": "#/to/0"]],
        ]
        #expect(try JSON(reading: Array(answer.body.readableBytesView)) == expected)
    }

    @Test(arguments: [
        (BearerChallenge.bare, #"Bearer realm="hiveku-relay""#),
        (.invalidToken, #"Bearer realm="hiveku-relay", error="invalid_token""#),
        (
            .insufficientScope(.batch),
            #"Bearer realm="hiveku-relay", error="insufficient_scope", scope="email:batch""#
        ),
    ])
    func challengesAreThoseOfRFC6750(_ challenge: BearerChallenge, _ value: String) {
        #expect(challenge.value == value)
    }

    @Test func retryAfterIsAtLeastOneSecond() {
        let problem = Problem(Refusal(.rateSecond, "Why", retryAfter: .milliseconds(1)), scope: .send)
        #expect(HTTPAnswer(problem).head.headerFields[.retryAfter] == "1")
    }
}
