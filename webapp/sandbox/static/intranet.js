// The portal's frame says how high its content is; the page around may follow.
const frame = document.querySelector("iframe");
addEventListener("message", ({ source, data }) => {
  if (source === frame.contentWindow && data?.type === "scenario-portal:height") frame.height = data.height;
});
