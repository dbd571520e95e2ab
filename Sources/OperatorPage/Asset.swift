import HTTPServer
import HTTPTypes
import Hashing
import NIOCore

/// The page's own files: a style sheet, a script and an icon. Nothing is loaded from elsewhere.
enum Asset: CaseIterable, Sendable {
    case style, script, icon

    var name: String {
        switch self {
        case .style: "style.css"
        case .script: "page.js"
        case .icon: "icon.svg"
        }
    }

    private var contentType: String {
        switch self {
        case .style: "text/css; charset=utf-8"
        case .script: "text/javascript; charset=utf-8"
        case .icon: "image/svg+xml"
        }
    }

    var octets: [UInt8] {
        switch self {
        case .style: PackageResources.style_css
        case .script: PackageResources.page_js
        case .icon: PackageResources.icon_svg
        }
    }

    /// The path contains a part of the content's hash, so that a browser may cache the file until it changes.
    var path: String { Asset.paths[self] ?? "/\(name)" }

    private static let paths = Dictionary(
        uniqueKeysWithValues: allCases.map {
            ($0, "/\($0.name)?\(SHA256.digest(of: $0.octets).prefix(6).hexadecimal)")
        })

    var answer: HTTPAnswer {
        var answer = HTTPAnswer(
            .ok, HTTPAnswer.guards(policy: HTTPAnswer.policy, frames: "DENY"), contentType: contentType,
            body: ByteBuffer(bytes: octets))
        answer.head.headerFields[.cacheControl] = "max-age=31536000, immutable"
        return answer
    }
}
