/* The names of other jobs, and long lists of choices, offered as one types. */
"use strict";
{
    const $ = django.jQuery;
    $(function () {
        for (const field of document.querySelectorAll("select.admin-autocomplete")) {
            // What jQuery triggers alone, neither the page's conditions nor its preview would hear.
            $(field).on("select2:select select2:unselect select2:clear", () => {
                field.dispatchEvent(new Event("change", { bubbles: true }));
            });
        }
        for (const field of document.querySelectorAll("select.sp-names-input")) {
            const workspace = () => {
                const chosen = field.form.elements.namedItem("workspace")?.value;
                return chosen ? { workspace: chosen } : {};
            };
            $(field).select2({
                width: "100%",
                ajax: {
                    url: field.closest("form").querySelector("[data-names-url]").dataset.namesUrl,
                    delay: 250,
                    data: (asked) => ({ term: asked.term, page: asked.page, ...workspace() }),
                },
            });
            const typed = field.parentElement.querySelector(".select2-search__field");
            const label = field.form.querySelector(`label[for="${field.id}"]`);
            typed?.setAttribute("aria-label", label?.textContent.trim() ?? field.name);
        }
    });
}
