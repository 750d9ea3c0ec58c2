"""Where the folders and files of a tree are: a server may keep the pages of folders apart from what is in them."""

from __future__ import annotations

from dataclasses import replace

from farends.errors import ProtocolViolation
from farends.http.entries import split_path
from farends.http.index_rows import Link
from farends.http.index_thredds import CATALOG_PAGE, CATALOG_PAGES
from farends.names import decode
from farends.web.url import Origin, Url, quote_path, resolve

_ARTIFACTORY_API = "/api/storage/"


class TreePlaces:
    """`root` is the folder that is walked, `files_root` where its content is. `catalog` is the page that lists each
    folder; empty where that is the folder's own address."""

    def __init__(
        self, origin: Origin, root: str, above: tuple[TreePlaces, str] | None = None
    ) -> None:
        self._origin = origin
        self.root, self.catalog = _without_catalog(root)
        self.files_root = self.root
        self._files_root_known = not self.catalog
        self._above = above  # the places of the whole tree, and the folder in it

    def below(self, folder: str) -> TreePlaces:
        """Returns the places of the tree below one folder; paths begin there."""
        root = f"{self.root.rstrip('/')}/{folder}/{self.catalog}".rstrip("/")
        return TreePlaces(self._origin, root, (self, folder))

    def parts_above(self, url: Url) -> list[bytes]:
        """The parts of the folder that a page lists."""
        parts = split_path(url.path)
        catalog = self.catalog.encode()
        return parts[:-1] if catalog and parts[-1] == catalog else parts

    def url_of(self, path: str) -> Url:
        return self._url_of(self.files_root, path)

    def folder_url_of(self, path: str) -> Url:
        url = self._url_of(self.root, path)
        return replace(url, target=url.target if url.target == "/" else f"{url.target}/")

    def page_url_of(self, path: str) -> Url:
        """Returns the URL of the page that lists the folder."""
        url = self.folder_url_of(path)
        return replace(url, target=url.target + self.catalog)

    def _url_of(self, root: str, path: str) -> Url:
        target = quote_path("/".join(part for part in (root.strip("/"), path) if part))
        return Url(self._origin, f"/{target}")

    def child_of_catalog(self, folder: str, link: Link) -> Link:
        """A file of a catalog lies below another root than its catalog. The first file tells which; what
        does not lie there at the same path leads elsewhere."""
        if self._above is not None:
            whole, below = self._above
            link = whole.child_of_catalog(f"{below}/{folder}".rstrip("/"), link)
            self.files_root = f"{whole.files_root.rstrip('/')}/{below}"
            return link
        try:
            url = resolve(self.folder_url_of(folder), link.reference)
        except ProtocolViolation:
            return link
        parts = [decode(part) for part in split_path(url.path)[1:]]
        above = folder.split("/") if folder else []
        if url.origin != self._origin or "?" in url.target or len(parts) <= len(above):
            return link
        root, name = parts[: len(parts) - len(above) - 1], parts[-1]
        if parts[len(root) : -1] != above:
            return link
        if not self._files_root_known:
            self.files_root, self._files_root_known = "/" + "/".join(root), True
        if "/" in name or self.files_root != "/" + "/".join(root):
            return link
        return replace(link, name=name)

    def note_artifactory(self) -> None:
        """Notes a tree of Artifactory: its files lie beside their descriptions."""
        root = f"/{self.root.strip('/')}/"
        self.files_root = root.replace(_ARTIFACTORY_API, "/", 1)


def _without_catalog(root: str) -> tuple[str, str]:
    """The folder, and the page that lists each folder below it; empty where that is the folder's own address."""
    folder, slash, page = root.rpartition("/")
    return (folder or "/", CATALOG_PAGE) if slash and page in CATALOG_PAGES else (root, "")
