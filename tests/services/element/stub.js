// What Element Web does first: read config.json, take on its look, and log in with what single sign-on left in the URL.
async function start() {
  const config = await (await fetch("config.json")).json();
  const { base_url: url } = config.default_server_config["m.homeserver"];
  document.title = config.brand;
  const logo = config.branding.auth_header_logo_url;
  if (logo) document.getElementById("logo").src = logo;
  for (const { text, url: href } of config.branding.auth_footer_links ?? []) {
    document.getElementById("footer").append(Object.assign(document.createElement("a"), { href, textContent: text }));
  }
  const named = (theme) => `custom-${theme.name}` === config.default_theme;
  const theme = config.setting_defaults.custom_themes.find(named);
  for (const [name, value] of Object.entries(theme?.colors ?? {})) {
    document.documentElement.style.setProperty(`--${name}`, value);
  }
  document.documentElement.dataset.dark = Boolean(theme?.is_dark);
  window.logIn = async (body) => {
    const answer = await fetch(`${url}/_matrix/client/v3/login`, { method: "POST", body: JSON.stringify(body) });
    document.getElementById("user").textContent = (await answer.json()).user_id;
  };
  const token = new URLSearchParams(location.search).get("loginToken");
  if (token) await window.logIn({ type: "m.login.token", token });
  document.documentElement.dataset.started = true;
}
start();
