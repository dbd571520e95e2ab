import HTTPTypes
import RelayCore
import TestSupport
import Testing

@testable import OperatorPage

@Suite struct BarChartTests {
    @Test func daysWithoutUseAreEmptyAndTodayIsTheLast() {
        let today = UTCDay(number: 20_000)
        let counts = BarChart.counts(
            [
                KeyDay(day: UTCDay(number: 20_000), emails: 5), KeyDay(day: UTCDay(number: 19_971), emails: 3),
                KeyDay(day: UTCDay(number: 19_970), emails: 9),
            ],
            today: today)
        #expect(counts.count == 30)
        #expect(counts.last == 5)
        #expect(counts.first == 3)
        #expect(counts.reduce(0, +) == 8)
    }

    @Test func smallestBarIsStillVisible() {
        let html = BarChart.small([1_000_000, 1, 0]).text
        #expect(html.contains("M1 40v-40h8v40z"))
        #expect(html.contains("M11 40v-2h8v2z"))
        #expect(!html.contains("M21"))
        #expect(html.mentions("1,000,001", "1,000,000"))
    }

    @Test func chartWithoutUseShowsTextInstead() {
        let html = BarChart.small([0, 0]).text
        #expect(html.contains("30 days") && !html.contains("<svg"))
    }
}

@Suite struct AssetTests {
    /// The files that a browser loads for a page, in addition to the page itself.
    @Test func assetsAreSmallAndLoadNothingExternal() {
        let octets = Asset.allCases.map(\.octets)
        #expect(octets.map(\.count).reduce(0, +) < 40_000)
        for file in octets {
            let text = String(decoding: file, as: UTF8.self).replacing("http://www.w3.org/2000/svg", with: "")
            #expect(
                !text.contains("http:") && !text.contains("https:") && !text.contains("//cdn")
                    && !text.contains("@import"))
        }
    }

    @Test func assetPathsChangeWithTheirContent() throws {
        for asset in Asset.allCases {
            let parts = asset.path.split(separator: "?")
            #expect(PageRoute.find(.get, String(try #require(parts.first))) == .found(.asset(asset)))
            #expect(parts.last?.count == 12)
        }
    }
}

@Suite struct ShownOnceTests {
    private static let start = Timestamp(milliseconds: 1_700_000_000_000)

    private static func secret() -> ShownOnce.Secret {
        var generator = SystemRandomNumberGenerator()
        return .key(APIKey(generating: .test, using: &generator), previousUntil: nil)
    }

    @Test func aSecretIsShownOnce() async {
        let secrets = ShownOnce(clock: ManualClock(Self.start))
        #expect(await secrets.begin("form", "/path") == nil)
        await secrets.finish("form", at: "/path", Self.secret())
        #expect(await secrets.take("/path") != nil)
        #expect(await secrets.take("/path") == nil)
    }

    @Test func aFormThatIsSentTwiceMakesOneSecret() async {
        let secrets = ShownOnce(clock: ManualClock(Self.start))
        #expect(await secrets.begin("form", "/first") == nil)
        await secrets.finish("form", at: "/first", Self.secret())
        #expect(await secrets.begin("form", "/second") == "/first")
    }

    /// The second request waits for the first one, and is redirected to the same page.
    @Test func resubmittedFormWaitsForTheFirstToFinish() async {
        let secrets = ShownOnce(clock: ManualClock(Self.start))
        #expect(await secrets.begin("form", "/first") == nil)
        async let second = secrets.begin("form", "/second")
        await secrets.finish("form", at: "/done")
        #expect(await second == "/done")
    }

    @Test func aFormThatFailedMayBeSentAgain() async {
        let secrets = ShownOnce(clock: ManualClock(Self.start))
        #expect(await secrets.begin("form", "/first") == nil)
        async let second = secrets.begin("form", "/second")
        await secrets.forget("form")
        #expect(await second == nil)
    }

    @Test func aSecretThatNobodyFetchesIsForgotten() async {
        let clock = ManualClock(Self.start)
        let secrets = ShownOnce(clock: clock)
        #expect(await secrets.begin("form", "/path") == nil)
        await secrets.finish("form", at: "/path", Self.secret())
        clock.advance(.seconds(61))
        #expect(await secrets.take("/path") == nil)
    }
}

@Suite struct SessionCookieTests {
    @Test func onlyWellFormedSessionSecretsAreLookedUp() {
        let good = String(repeating: "a1", count: 32)
        #expect(
            SessionCookie.secrets(in: [
                .cookie: "x=1; hiveku_relay_session=\(good); hiveku_relay_session=short; hiveku_relay_session="
            ])
            .map(\.revealed) == [good])
        let many = (0..<20).map { _ in "hiveku_relay_session=\(good)" }.joined(separator: "; ")
        #expect(SessionCookie.secrets(in: [.cookie: many]).count == 4)
    }

    @Test func sessionCookieHasRestrictiveAttributes() {
        var generator = SystemRandomNumberGenerator()
        let value = SessionCookie.value(OperatorSecret(using: &generator))
        for part in ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"] { #expect(value.contains("; \(part)")) }
    }
}

@Suite struct FramedHTMLTests {
    @Test(arguments: [
        ("<p>text</p>", "<p>text</p>"), ("<link rel=preconnect href=x>", "<x-link rel=preconnect href=x>"),
        ("<LiNk>", "<x-LiNk>"), ("a <link", "a <x-link"), ("<lin", "<lin"),
        ("<a href='link'>a link</a>", "<a href='link'>a link</a>"),
        ("<iframe SRCDOC='&lt;link'>", "<x-iframe x-SRCDOC='&lt;link'>"), ("<FRAME src=a>", "<x-FRAME src=a>"),
        ("<svg><link/>", "<svg><x-link/>"),
        ("é<link>", "é<x-link>"),
        ("<<link>", "<<x-link>"), ("", ""), ("srcdo", "srcdo"),
    ])
    func nothingConnectsByItself(_ html: String, _ expected: String) {
        #expect(String(decoding: FramedHTML.octets(of: html), as: UTF8.self) == expected)
    }
}
