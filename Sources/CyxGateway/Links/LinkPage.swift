internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// The pages that links show. They have no scripts, and whatever a user has named is escaped.
enum LinkPage {
    private static let style =
        "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        + "h1{font-size:1.3rem;overflow-wrap:anywhere}img,video{max-width:100%}"
        + "pre{overflow:auto;background:#f4f4f4;color:#222;padding:1rem}audio{width:100%}"
        + "table{border-collapse:collapse;width:100%}td{padding:.2rem .6rem .2rem 0}"
        + ".note{color:#666}.button,button{display:inline-block;padding:.5rem 1rem;"
        + "background:#1a5fb4;color:#fff;border:0;border-radius:.3rem;text-decoration:none}"

    /// Of pages: nothing runs, nothing is fetched from elsewhere, and nobody frames them.
    static let contentSecurityPolicy =
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'sha256-"
        + Base64.encode(SHA256.hash(Array(style.utf8)))
        + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

    /// Of what users store: an origin of its own, without scripts, whatever it is.
    static let sandbox =
        "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; "
        + "style-src 'unsafe-inline'; frame-ancestors 'none'"

    static func response(
        _ page: String, status: Int, _ headers: HTTPHeaders, _ request: HTTPRequest
    ) -> HTTPResponse {
        var headers = headers
        let bytes = Array(page.utf8)
        headers.set("content-type", "text/html; charset=utf-8")
        headers.set("content-security-policy", contentSecurityPolicy)
        let isHead = request.method == "HEAD"
        return HTTPResponse(
            status: status, headers: headers,
            body: isHead ? .head(length: UInt64(bytes.count)) : .bytes(bytes))
    }

    // MARK: Pages

    static func refusal(_ error: RESTError) -> String {
        document(
            error.message,
            "<h1>\(escaped(error.message))</h1>"
                + (error.advice.map { "<p class=\"note\">\(escaped($0))</p>" } ?? ""))
    }

    static func password(_ message: String) -> String {
        document(
            "Password",
            "<h1>\(escaped(message))</h1><form method=\"post\">"
                + "<p><label>Password <input type=\"password\" name=\"password\" required autofocus>"
                + "</label></p><p><button>Open</button></p></form>")
    }

    static func object(
        _ visit: LinkGateway.Visit, _ info: ObjectInfo, _ preview: Preview, text: String?
    ) -> String {
        let name = FileName.last(of: visit.key)
        let path = String(visit.request.target.prefix { $0 != "?" })
        let source = escaped(path) + "?view"
        var body =
            "<h1>\(escaped(name))</h1><p class=\"note\">"
            + "\(escaped(Units.format(bytes: info.size))), \(escaped(info.modified.rfc3339))</p>"
        switch preview {
        case .image: body += "<p><img src=\"\(source)\" alt=\"\(escaped(name))\"></p>"
        case .audio: body += "<p><audio controls src=\"\(source)\"></audio></p>"
        case .video: body += "<p><video controls src=\"\(source)\"></video></p>"
        case .text, .none:
            if let text {
                body += "<pre>\(escaped(text))</pre>"
                if info.size > LinkGateway.previewBytes {
                    body +=
                        "<p class=\"note\">These are the first "
                        + "\(LinkGateway.previewBytes >> 10) KiB.</p>"
                }
            } else {
                body += "<p>There is no preview of this file.</p>"
            }
        }
        if visit.share.isViewOnly {
            body +=
                "<p class=\"note\">Who sent this link offers no download. That does not keep "
                + "anybody from copying what can be seen here.</p>"
        } else {
            body += "<p><a class=\"button\" href=\"\(escaped(path))?download\">Download</a></p>"
        }
        return document(name, body + ending(visit))
    }

    static func folder(_ visit: LinkGateway.Visit, _ listing: ObjectListing) -> String {
        let root = visit.root + "/"
        let title = visit.key.isEmpty ? visit.share.bucket : visit.key
        var rows = ""
        if !visit.rest.isEmpty {
            let parts = visit.rest.split(separator: "/", omittingEmptySubsequences: false)
            let parent = parts.dropLast(2).map { $0 + "/" }.joined()
            rows += row("..", root + encoded(parent), "")
        }
        for folder in listing.commonPrefixes {
            let rest = folder.droppingPrefix(visit.share.path)
            rows += row(folder.droppingPrefix(visit.key), root + encoded(rest), "")
        }
        for object in listing.objects where object.key != visit.key {
            let rest = object.key.droppingPrefix(visit.share.path)
            rows += row(
                object.key.droppingPrefix(visit.key), root + encoded(rest),
                Units.format(bytes: object.size))
        }
        var body = "<h1>\(escaped(title))</h1>"
        body += rows.isEmpty ? "<p>There is nothing here.</p>" : "<table>\(rows)</table>"
        if let next = listing.nextMarker {
            let after = PercentEncoding.encode(next.droppingPrefix(visit.key))
            let href = root + encoded(visit.rest) + "?after=" + after
            body += "<p><a href=\"\(escaped(href))\">more</a></p>"
        }
        return document(title, body + ending(visit))
    }

    private static func row(_ name: String, _ href: String, _ size: String) -> String {
        "<tr><td><a href=\"\(escaped(href))\">\(escaped(name))</a></td><td>\(escaped(size))</td></tr>"
    }

    private static func ending(_ visit: LinkGateway.Visit) -> String {
        guard let end = visit.share.expires else { return "" }
        return "<p class=\"note\">This link ends at \(escaped(end.rfc3339)).</p>"
    }

    private static func encoded(_ path: String) -> String {
        PercentEncoding.encode(path, keepingSlashes: true)
    }

    private static func document(_ title: String, _ body: String) -> String {
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
            + "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
            + "<title>\(escaped(title))</title><style>\(style)</style></head>"
            + "<body>\(body)</body></html>"
    }

    /// For text and for attributes in double quotes.
    static func escaped(_ text: some StringProtocol) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            // NUL is no character of HTML.
            case "\0": result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
