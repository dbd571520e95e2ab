#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Where requests to a service go, in the parts that a signature needs.
package struct AWSEndpoint: Sendable, Equatable {
    /// Scheme, host and port, without a path.
    package let origin: String
    /// The value of the Host field.
    package let host: String
    /// The prefix of each request's path. It is empty, or it begins with a slash and does not end with one.
    package let path: String

    /// Reads a URL with the scheme `https` or `http`, a host, and optionally a port and a path.
    ///
    /// - Throws: ``AWSEndpointError`` for any other text.
    package init(parsing text: String) throws(AWSEndpointError) {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            let name = parts.encodedHost,
            !name.isEmpty
        else { throw AWSEndpointError("is not a URL") }
        guard scheme == "https" || scheme == "http" else {
            throw AWSEndpointError("must begin with https:// or http://")
        }
        guard parts.user == nil, parts.password == nil else {
            throw AWSEndpointError("must not contain a user name or a password")
        }
        guard parts.query == nil, parts.fragment == nil else {
            throw AWSEndpointError("must end with the host or a path")
        }
        let isDefault = parts.port == nil || parts.port == (scheme == "https" ? 443 : 80)
        host = isDefault ? name : "\(name):\(parts.port ?? 0)"
        origin = "\(scheme)://\(host)"
        let path = parts.percentEncodedPath
        self.path = path.hasSuffix("/") ? String(path.dropLast()) : path
    }
}

/// Why a text is not an endpoint.
package struct AWSEndpointError: Error, Hashable, Sendable {
    /// The rest of a sentence that begins with the name of the setting.
    package var reason: String

    init(_ reason: String) { self.reason = reason }
}
